package protocol

import (
	"bytes"
	"encoding/base64"
	"slices"
	"testing"
)

// captured is one message as a Celery 5.7 or 5.6 producer put it on Redis.
type captured struct{ Case, Message string }

func (c captured) decode(t testing.TB) *Message {
	t.Helper()
	envelope, err := DecodeObject([]byte(c.Message))
	if err != nil {
		t.Fatal(err)
	}
	headers, _ := envelope.Get("headers")
	body, err := base64.StdEncoding.DecodeString(envelope.String("body"))
	if err != nil {
		t.Fatal(err)
	}
	return &Message{
		Headers:     headers.(Object),
		ContentType: envelope.String("content-type"), ContentEncoding: envelope.String("content-encoding"),
		Body: body,
	}
}

func capturedMessages(t testing.TB) []captured {
	t.Helper()
	all := golden[[]captured](t, "messages.json")
	if len(all) < 100 {
		t.Fatalf("%d messages", len(all))
	}
	return all
}

// What a Python producer sends is read and comes out the same: every header in
// its place, the body of a plain JSON message byte by byte, any other one equal
// as a value.
func TestCapturedMessages(t *testing.T) {
	for _, c := range capturedMessages(t) {
		t.Run(c.Case, func(t *testing.T) {
			in := c.decode(t)
			task, err := Decoder{Pickle: true}.Task(in)
			if err != nil {
				t.Fatal(err)
			}
			out, err := task.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if task.Version == 2 {
				compareHeaders(t, out.Headers, in.Headers)
			}
			compareBodies(t, task, in, out)
		})
	}
}

func compareHeaders(t *testing.T, got, want Object) {
	t.Helper()
	want = slices.Clone(want)
	for i, f := range want {
		if f.Value == "application/x-bz2" { // read, but written as what every peer reads
			want[i].Value = "application/x-gzip"
		}
		if f.Name == "eta" || f.Name == "expires" { // a moment may have several names
			if s, ok := f.Value.(string); ok {
				at, err := ParseTime(s)
				if err != nil {
					t.Fatal(err)
				}
				want[i].Value = FormatTime(at)
			}
		}
	}
	g, _ := Marshal(got)
	w, _ := Marshal(want)
	if !bytes.Equal(g, w) {
		t.Errorf("headers\n got %s\nwant %s", g, w)
	}
}

func compareBodies(t *testing.T, task *Task, in, out *Message) {
	t.Helper()
	got, want := openedBody(t, out), openedBody(t, in)
	if task.Version == 1 {
		o, err := DecodeObject(want)
		if err != nil {
			t.Fatal(err)
		}
		args, _ := o.Get("args")
		kwargs, _ := o.Get("kwargs")
		var parts []Raw
		if parts, err = SplitArray(got); err != nil {
			t.Fatal(err)
		}
		if w, _ := Marshal([]any{args, kwargs}); !bytes.Equal(w, bytes.Join([][]byte{[]byte("["), parts[0], []byte(", "), parts[1], []byte("]")}, nil)) {
			t.Errorf("arguments %s of %s", got, want)
		}
		return
	}
	if in.ContentType == ContentTypeJSON && bytes.Equal(got, want) {
		return
	}
	plain := len(task.Callbacks)+len(task.Errbacks)+len(task.Chain) == 0 && task.Chord == nil
	g, w := sorted(decode(t, string(got))), sorted(decode(t, string(want)))
	if in.ContentType == ContentTypeJSON && plain || !bytes.Equal(g, w) {
		t.Errorf("body\n got %s\nwant %s", got, want)
	}
}

// openedBody is the body of a message as JSON.
func openedBody(t *testing.T, m *Message) []byte {
	t.Helper()
	body, err := Decoder{Pickle: true}.open(&Task{}, m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// sorted writes a value with the members of objects in order of their names.
func sorted(v any) []byte {
	var order func(v any)
	order = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				order(e)
			}
		case Object:
			slices.SortFunc(v, func(a, b Field) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
			for _, f := range v {
				order(f.Value)
			}
		}
	}
	order(v)
	raw, _ := Marshal(v)
	return raw
}
