package protocol

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

const emptyBody = `[[], {}, {}]`

// message2 is a protocol 2 message for task t with id i.
func message2(body string, headers ...Field) *Message {
	return NewMessage(append(Object{{"task", "t"}, {"id", "i"}}, headers...), []byte(body))
}

func TestDecoderAccepts(t *testing.T) {
	bodies := map[string]string{ContentTypeJSON: emptyBody, ContentTypeMsgpack: "\x93\x90\x80\x80", ContentTypeYAML: "- []\n- {}\n- {}\n", ContentTypePickle: "]}}\x87."}
	for _, test := range []struct {
		name    string
		decoder Decoder
		accepts []string
	}{
		{"zero", Decoder{}, []string{ContentTypeJSON, ContentTypeMsgpack, ContentTypeYAML}},
		{"pickle", Decoder{Pickle: true}, []string{ContentTypeJSON, ContentTypeMsgpack, ContentTypeYAML, ContentTypePickle}},
		{"by name", Decoder{Accept: []string{"json"}}, []string{ContentTypeJSON}},
		{"by type", Decoder{Accept: []string{"application/x-yaml", "msgpack"}}, []string{ContentTypeMsgpack, ContentTypeYAML}},
		{"pickle needs both", Decoder{Accept: []string{"pickle"}}, nil},
		{"pickle only", Decoder{Accept: []string{"pickle"}, Pickle: true}, []string{ContentTypePickle}},
		{"pickle not in the list", Decoder{Accept: []string{"json"}, Pickle: true}, []string{ContentTypeJSON}},
		{"nothing", Decoder{Accept: []string{}}, nil},
	} {
		for contentType, body := range bodies {
			m := message2(body)
			m.ContentType = contentType
			task, err := test.decoder.Task(m)
			want := strings.Contains(strings.Join(test.accepts, " "), contentType)
			if (err == nil) != want {
				t.Errorf("%s: %s: %v", test.name, contentType, err)
			}
			if s, _ := serializerOf(contentType); err == nil && s.name != "pickle" && task.Serializer != s.name {
				t.Errorf("%s: serializer %q", contentType, task.Serializer)
			}
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Kind != KindContent || e.Fate != FateFail || e.TaskID != "i") {
				t.Errorf("%s: %s: %#v", test.name, contentType, err)
			}
		}
	}
}

func TestDecoderRefusesContent(t *testing.T) {
	for contentType, want := range map[string]string{
		"":                     "no content type",
		ContentTypeData:        "raw or signed data",
		ContentTypeText:        "plain text",
		"application/xml":      "not known",
		ContentTypePickle:      "let the sender use json",
		"application/JSON":     "not known",
		ContentTypeJSON + "; ": "not known",
	} {
		m := message2(emptyBody)
		m.ContentType = contentType
		_, err := DecodeTask(m)
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindContent || e.Fate != FateFail || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
	m := message2(emptyBody, Field{"compression", "application/x-snappy"})
	var e *Error
	if _, err := DecodeTask(m); !errors.As(err, &e) || e.Kind != KindContent || !strings.Contains(err.Error(), "x-snappy") {
		t.Errorf("an unknown compression: %v", err)
	}
}

// kombu's serializers ignore the content encoding, whatever it says.
func TestContentEncodingIsIgnored(t *testing.T) {
	for _, encoding := range []string{"", "utf-8", "binary", "latin-1", "nonsense"} {
		m := message2(`[["é"], {}, {}]`)
		m.ContentEncoding = encoding
		task, err := DecodeTask(m)
		if err != nil || string(task.Args[0]) != `"é"` {
			t.Errorf("%q: %v, %v", encoding, task, err)
		}
	}
}

// Every shape that stops or starves a Python worker is an error that says what
// becomes of the message.
func TestDecodeTaskRefuses(t *testing.T) {
	limit := func(v any) Field { return Field{"timelimit", v} }
	for name, test := range map[string]struct {
		m    *Message
		kind Kind
		fate Fate
	}{
		"no id":                     {NewMessage(Object{{"task", "t"}}, []byte(emptyBody)), KindMalformed, FateDead},
		"a number for an id":        {NewMessage(Object{{"task", "t"}, {"id", json.Number("5")}}, []byte(emptyBody)), KindMalformed, FateDead},
		"no headers, no v1":         {NewMessage(nil, []byte(emptyBody)), KindUnknown, FateDead},
		"v1 without id":             {NewMessage(nil, []byte(`{"task": "t"}`)), KindMalformed, FateDead},
		"body null":                 {message2("null"), KindMalformed, FateFail},
		"body of two":               {message2("[[], {}]"), KindMalformed, FateFail},
		"body of four":              {message2("[[], {}, {}, 1]"), KindMalformed, FateFail},
		"no JSON":                   {message2("[[]"), KindMalformed, FateFail},
		"no UTF-8":                  {message2("[[\"\xff\"], {}, {}]"), KindMalformed, FateFail},
		"an object without args":    {message2(`{"kwargs": {}}`), KindMalformed, FateFail},
		"kwargs null":               {message2("[[], null, {}]"), KindMalformed, FateFail},
		"kwargs a list":             {message2("[[], [], {}]"), KindMalformed, FateFail},
		"args null":                 {message2("[null, {}, {}]"), KindMalformed, FateFail},
		"embed a text":              {message2(`[[], {}, "x"]`), KindMalformed, FateFail},
		"a callback that is none":   {message2(`[[], {}, {"callbacks": [5]}]`), KindMalformed, FateFail},
		"eta empty":                 {message2(emptyBody, Field{"eta", ""}), KindInvalid, FateFail},
		"eta a number":              {message2(emptyBody, Field{"eta", json.Number("5")}), KindInvalid, FateFail},
		"eta garbage":               {message2(emptyBody, Field{"eta", "tomorrow"}), KindInvalid, FateFail},
		"eta beyond the calendar":   {message2(emptyBody, Field{"eta", "9999-12-31T23:59:59-01:00"}), KindInvalid, FateFail},
		"expires before it":         {message2(emptyBody, Field{"expires", "0001-01-01T00:00:00+01:00"}), KindInvalid, FateFail},
		"expires empty":             {message2(emptyBody, Field{"expires", ""}), KindInvalid, FateFail},
		"one limit":                 {message2(emptyBody, limit([]any{nil})), KindInvalid, FateFail},
		"a text for limits":         {message2(emptyBody, limit("60")), KindInvalid, FateFail},
		"a number for limits":       {message2(emptyBody, limit(json.Number("60"))), KindInvalid, FateFail},
		"a limit that is no number": {message2(emptyBody, limit([]any{"soon", nil})), KindInvalid, FateFail},
	} {
		_, err := DecodeTask(test.m)
		var e *Error
		if !errors.As(err, &e) || e.Kind != test.kind || e.Fate != test.fate {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestHeaderValues(t *testing.T) {
	number := func(s string) json.Number { return json.Number(s) }
	yes, no, one := true, false, 1
	for _, test := range []struct {
		name  string
		value any
		field string
		want  any
	}{
		{"retries", nil, "Retries", 0},
		{"retries", number("3"), "Retries", 3},
		{"retries", number("3.0"), "Retries", 3},
		{"retries", "3", "Retries", 3},
		{"retries", "x", "Retries", 0},
		{"retries", true, "Retries", 0},
		{"retries", number("-3"), "Retries", 0},
		{"retries", number("1e300"), "Retries", 1<<31 - 1},
		{"retries", number("NaN"), "Retries", 0},
		{"retries", number("Infinity"), "Retries", 1<<31 - 1},
		{"group_index", nil, "GroupIndex", (*int)(nil)},
		{"group_index", number("1"), "GroupIndex", &one},
		{"group_index", number("1.0"), "GroupIndex", &one},
		{"group_index", number("1.5"), "GroupIndex", (*int)(nil)},
		{"group_index", "first", "GroupIndex", (*int)(nil)},
		{"group_index", []any{}, "GroupIndex", (*int)(nil)},
		{"timelimit", []any{}, "HardLimit", 0.0},
		{"timelimit", false, "HardLimit", 0.0},
		{"timelimit", "", "HardLimit", 0.0},
		{"timelimit", []any{number("60"), nil}, "HardLimit", 60.0},
		{"timelimit", []any{nil, number("1.5")}, "SoftLimit", 1.5},
		{"timelimit", []any{"60", nil}, "HardLimit", 60.0},
		{"timelimit", []any{number("-1"), nil}, "HardLimit", 0.0},
		{"timelimit", []any{number("NaN"), nil}, "HardLimit", 0.0},
		{"timelimit", []any{number("Infinity"), nil}, "HardLimit", 0.0},
		{"ignore_result", nil, "IgnoreResult", (*bool)(nil)},
		{"ignore_result", true, "IgnoreResult", &yes},
		{"ignore_result", number("0"), "IgnoreResult", &no},
		{"stamped_headers", []any{}, "StampedHeaders", []string{}},
		{"stamped_headers", []any{"a", nil, "b"}, "StampedHeaders", []string{"a", "b"}},
		{"stamps", "x", "Stamps", Object(nil)},
		{"shadow", number("5"), "Shadow", ""},
		{"root_id", nil, "RootID", ""},
		{"redelivered", true, "Redelivered", true},
		{"eta", "2026-11-20T10:00:00", "ETA", time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)},
		{"eta", "2026-W47-5T10", "ETA", time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)},
	} {
		task, err := DecodeTask(message2(emptyBody, Field{test.name, test.value}))
		if err != nil {
			t.Errorf("%s %v: %v", test.name, test.value, err)
			continue
		}
		if got := reflect.ValueOf(task).Elem().FieldByName(test.field).Interface(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %v: got %#v, want %#v", test.name, test.value, got, test.want)
		}
	}
}

// A message of Celery 4.0 lacks most headers.
func TestMissingHeaders(t *testing.T) {
	task, err := DecodeTask(message2(`[[1], {}, null]`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Task{Name: "t", ID: "i", Args: []Raw{Raw("1")}, Kwargs: []RawField{}, Serializer: "json", Version: 2, DeliveryMode: Persistent}
	if !reflect.DeepEqual(task, want) {
		t.Errorf("got %#v", task)
	}
	m, err := task.Encode()
	if root := m.Headers.String("root_id"); err != nil || root != "i" {
		t.Errorf("root_id %q, %v", root, err)
	}
}

// Headers that are not Celery's keep their order and values, reprs that the
// sender chose stay.
func TestUnknownHeadersSurvive(t *testing.T) {
	in := message2(emptyBody, Field{"z", json.Number("1")}, Field{"argsrepr", "('***',)"}, Field{"meth", nil}, Field{"a", []any{Object{{"x", nil}}}}, Field{"redelivered", true})
	task, err := DecodeTask(in)
	if err != nil {
		t.Fatal(err)
	}
	task.FillReprs()
	m, err := task.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := Object{{"z", json.Number("1")}, {"meth", nil}, {"a", []any{Object{{"x", nil}}}}}
	if got := m.Headers[len(m.Headers)-3:]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if m.Headers.String("argsrepr") != "('***',)" || m.Headers.String("kwargsrepr") != "{}" {
		t.Errorf("reprs %q, %q", m.Headers.String("argsrepr"), m.Headers.String("kwargsrepr"))
	}
}

func TestProtocol1(t *testing.T) {
	body := `{"task": "t", "id": "i", "args": [1], "taskset": "g", "group": "other", "retries": 2, "eta": "2026-11-20T10:00:00", "utc": false,
		"timelimit": [5, null], "callbacks": [{"task": "next"}], "chain": [{"task": "never"}]}`
	task, err := DecodeTask(NewMessage(Object{{"trace", "x"}, {"redelivered", true}}, []byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if task.Version != 1 || task.Name != "t" || task.ID != "i" || task.Group != "g" || task.Retries != 2 || task.HardLimit != 5 ||
		len(task.Callbacks) != 1 || len(task.Chain) != 0 || !reflect.DeepEqual(task.Headers, Object{{"trace", "x"}}) {
		t.Errorf("got %#v", task)
	}
}

// In a hybrid message the body's members are defaults under the headers; a
// header that is null is there too.
func TestHybrid(t *testing.T) {
	body := `{"task": "body", "id": "body", "args": [1], "kwargs": {"k": 2}, "retries": 7, "eta": "2026-11-20T10:00:00", "expires": "2026-11-20T10:00:00", "origin": "gen1@h"}`
	task, err := DecodeTask(message2(body, Field{"retries", json.Number("1")}, Field{"eta", nil}, Field{"args", "a user's"}))
	if err != nil {
		t.Fatal(err)
	}
	if task.Version != 2 || task.Name != "t" || task.ID != "i" || task.Retries != 1 || !task.ETA.IsZero() || task.Expires.IsZero() ||
		task.Origin != "gen1@h" || len(task.Args) != 1 || len(task.Kwargs) != 1 {
		t.Errorf("got %#v", task)
	}
}

func TestEncodeSerializers(t *testing.T) {
	task := &Task{Name: "t", ID: "i", Args: []Raw{Raw(`18446744073709551616`)}}
	for serializer, want := range map[string]string{"": "", "json": "", "yaml": "", "msgpack": "beyond 64 bits", "pickle": "cannot be written", "x": "cannot be written"} {
		task.Serializer = serializer
		_, err := task.Encode()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", serializer, err)
		}
	}
	task.Serializer, task.Compression = "", "bzip2"
	if _, err := task.Encode(); err == nil || !strings.Contains(err.Error(), "t[i]") {
		t.Errorf("bzip2: %v", err)
	}
}

// FuzzDecoder: a message of any content type, compression and content is either
// refused with a reason or comes out as a message that decodes to the same task.
func FuzzDecoder(f *testing.F) {
	for _, c := range capturedMessages(f) {
		m := c.decode(f)
		headers, err := Marshal(m.Headers)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(headers), m.ContentType, m.Body)
	}
	f.Fuzz(func(t *testing.T, headers []byte, contentType string, body []byte) {
		h, err := DecodeObject(headers)
		if err != nil {
			return
		}
		m := NewMessage(h, body)
		m.ContentType = contentType
		task, err := Decoder{Pickle: true}.Task(m)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Kind == "" || (e.Fate == FateFail) != (e.TaskID != "") {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		out, err := task.Encode()
		if err != nil {
			t.Fatalf("%#v: %v", task, err)
		}
		again, err := DecodeTask(out)
		if err != nil {
			t.Fatalf("%s became %s: %v", body, out.Body, err)
		}
		if again.Name != task.Name || again.ID != task.ID || len(again.Args) != len(task.Args) || again.Retries != task.Retries {
			t.Fatalf("%#v\nbecame %#v", task, again)
		}
	})
}
