package amqp

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/protocol"
)

func TestFieldsOut(t *testing.T) {
	for _, test := range []struct{ in, want any }{
		{nil, nil},
		{true, true},
		{"text", "text"},
		{json.Number("7"), int32(7)},
		{json.Number("-2147483648"), int32(-2147483648)},
		{json.Number("2147483648"), int64(2147483648)},
		{json.Number("-2147483649"), "-2147483649"},
		{json.Number("9223372036854775808"), "9223372036854775808"},
		{json.Number("1.5"), 1.5},
		{json.Number("1e3"), 1000.0},
		{json.Number("1e999"), "1e999"},
		{3, int32(3)},
		{int16(3), int32(3)},
		{int64(1) << 40, int64(1) << 40},
		{2.0, 2.0},
		{[]string{"a"}, []any{"a"}},
		{map[string]int{"a": 1}, amqp091.Table{"a": int32(1)}},
		{[]any{json.Number("300"), nil}, []any{int32(300), nil}},
		{protocol.Object{{Name: "k", Value: json.Number("5")}}, amqp091.Table{"k": int32(5)}},
	} {
		got, err := toField(test.in)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%#v: %v (-want +got):\n%s", test.in, err, diff)
		}
	}
}

func TestFieldsIn(t *testing.T) {
	got := toObject(amqp091.Table{
		"void": nil, "yes": true, "text": "x", "bytes": []byte("raw"),
		"i8": int8(-1), "u8": byte(200), "i16": int16(-300), "u16": uint16(300), "i32": int32(-70000), "u32": uint32(4e9), "i64": int64(1 << 40),
		"f32": float32(0.5), "f64": 2.0,
		"decimal": amqp091.Decimal{Scale: 2, Value: -5}, "whole": amqp091.Decimal{Value: 12}, "cents": amqp091.Decimal{Scale: 2, Value: 1234},
		"time":  time.Unix(1763722800, 0),
		"table": amqp091.Table{"b": int32(1), "a": []any{int64(5), amqp091.Table{}}},
	})
	want := protocol.Object{
		{Name: "bytes", Value: "raw"}, {Name: "cents", Value: json.Number("12.34")}, {Name: "decimal", Value: json.Number("-0.05")},
		{Name: "f32", Value: json.Number("0.5")}, {Name: "f64", Value: json.Number("2.0")},
		{Name: "i16", Value: json.Number("-300")}, {Name: "i32", Value: json.Number("-70000")}, {Name: "i64", Value: json.Number("1099511627776")}, {Name: "i8", Value: json.Number("-1")},
		{Name: "table", Value: protocol.Object{{Name: "a", Value: []any{json.Number("5"), protocol.Object{}}}, {Name: "b", Value: json.Number("1")}}},
		{Name: "text", Value: "x"}, {Name: "time", Value: "2025-11-21T11:00:00+00:00"},
		{Name: "u16", Value: json.Number("300")}, {Name: "u32", Value: json.Number("4000000000")}, {Name: "u8", Value: json.Number("200")},
		{Name: "void", Value: nil}, {Name: "whole", Value: json.Number("12")}, {Name: "yes", Value: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEncodeRefusesWhatWouldCloseTheConnection(t *testing.T) {
	long, bad := strings.Repeat("x", 256), 256
	for name, spoil := range map[string]func(*protocol.Message){
		"correlation id": func(m *protocol.Message) { m.Properties.CorrelationID = long },
		"reply_to":       func(m *protocol.Message) { m.Properties.ReplyTo = long },
		"priority":       func(m *protocol.Message) { m.Properties.Priority = &bad },
		"headers":        func(m *protocol.Message) { m.Headers = protocol.Object{{Name: long, Value: 1}} },
	} {
		m := protocol.NewMessage(nil, nil)
		spoil(m)
		if _, err := encode(m); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want an error that names it", name, err)
		}
	}
	huge := amqp091.Publishing{Headers: amqp091.Table{"argsrepr": strings.Repeat("x", frameMax)}}
	if checkSize(&huge, frameMax) == nil {
		t.Error("headers larger than a frame were accepted")
	}
}

func TestURL(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"amqp://", "amqp://guest@localhost:5672//"},
		{"amqp://u:p@h:1/", "amqp://u@h:1//"},
		{"pyamqp://u:p@h//", "amqp://u@h:5672//"},
		{"librabbitmq://h/v", "amqp://guest@h:5672/v"},
		{"amqp://u:p%40ss@h/a%2Fb", "amqp://u@h:5672/a%2Fb"},
		{"amqps://u:p@[::1]/v?heartbeat=30", "amqps://u@[::1]:5671/v"},
	} {
		b, err := New(Config{URL: test.url})
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
		} else if got := b.Info().URL; got != test.want {
			t.Errorf("%s: %s, want %s", test.url, got, test.want)
		}
	}
	e, err := parseURL("amqps://u:p%2Fw@h:5000//?heartbeat=30", Config{})
	if err != nil || e.password != "p/w" || e.vhost != "/" || e.heartbeat != 30*time.Second || e.tls.ServerName != "h" || e.port != 5000 {
		t.Errorf("got %+v, %v", e, err)
	}
	for _, url := range []string{
		"amqp://u:sec/ret@h/v", "amqp://u:sec%ret@h", "redis://u:secret@h", "amqp://u:secret@h;u:secret@i",
		"amqp://u:secret@h:99999", "amqp://u:secret@h?heartbeat=x", "sec ret", "amqps://u:secret@h?cacertfile=/nonexistent",
	} {
		_, err := New(Config{URL: url})
		if err == nil {
			t.Errorf("%s: no error", url)
		} else if strings.Contains(err.Error(), "sec") && !strings.Contains(err.Error(), "seconds") {
			t.Errorf("%s: the error shows the password: %v", url, err)
		}
	}
}

func TestBuckets(t *testing.T) {
	now := time.Date(2026, 11, 21, 11, 30, 30, 500e6, time.UTC)
	for _, test := range []struct {
		after time.Duration
		name  string
		ttl   time.Duration
	}{
		{100 * time.Millisecond, "umbel.delay.q.1795260631", 100 * time.Millisecond},
		{500 * time.Millisecond, "umbel.delay.q.1795260631", 500 * time.Millisecond},
		{501 * time.Millisecond, "umbel.delay.q.1795260632", 501 * time.Millisecond},
		{time.Minute, "umbel.delay.q.1795260691", time.Minute},
		{time.Minute + 1, "umbel.delay.q.1795260660+60", 29500 * time.Millisecond},
		{time.Hour, "umbel.delay.q.1795264200+60", 59*time.Minute + 29500*time.Millisecond},
		{2 * time.Hour, "umbel.delay.q.1795266000+3600", time.Hour + 29*time.Minute + 29500*time.Millisecond},
		{48 * time.Hour, "umbel.delay.q.1795392000+86400", 36*time.Hour + 29*time.Minute + 29500*time.Millisecond},
		{1000 * 24 * time.Hour, "umbel.delay.q.1797811200+86400", 29*24*time.Hour + 12*time.Hour + 29*time.Minute + 29500*time.Millisecond},
	} {
		got := bucketFor("q", now.Add(test.after), now)
		if got.name != test.name || got.ttl != test.ttl {
			t.Errorf("%v: %s, %v; want %s, %v", test.after, got.name, got.ttl, test.name, test.ttl)
		}
		if got.expires <= got.ttl+time.Second || got.expires.Milliseconds() >= 1<<32 {
			t.Errorf("%v: the bucket expires after %v, its message after %v", test.after, got.expires, got.ttl)
		}
	}
}

// TestBucketsNeverEarlyAtTheEnd follows messages through all their hops.
func TestBucketsNeverEarlyAtTheEnd(t *testing.T) {
	start := time.Date(2026, 2, 27, 23, 59, 59, 999e6, time.UTC)
	for after := time.Second; after < 400*24*time.Hour; after = after*5/3 + 17*time.Millisecond {
		now, until := start, start.Add(after)
		hops := 0
		for ; until.After(now); hops++ {
			b := bucketFor("q", until, now)
			if b.ttl <= 0 || hops > 20 {
				t.Fatalf("%v: hop %d stays at %v before its time", after, hops, until.Sub(now))
			}
			now = now.Add(b.ttl)
		}
		if !now.Equal(until) {
			t.Errorf("%v: arrives %v after its time", after, now.Sub(until))
		}
	}
}

func TestErrorsAdvise(t *testing.T) {
	e := &endpoint{host: "h", port: 1, user: "u", password: "secret", vhost: "v"}
	for _, test := range []struct {
		err  error
		want string
	}{
		{amqp091.ErrCredentials, "password in the broker URL"},
		{&amqp091.Error{Code: amqp091.NotAllowed, Server: true}, `virtual host "v"`},
		{errors.New("EOF"), "amqps://"},
	} {
		if err := e.explain(test.err); !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v, want advice about %s", test.err, err, test.want)
		}
	}
}

func TestCopiesAreSafe(t *testing.T) {
	got := safeTable(amqp091.Table{
		"i8": int8(-1), "u8": byte(200), "i16": int16(-300), "u16": uint16(300), "u32": uint32(4e9), "f32": float32(0.5),
		"small": int64(-5), "large": int64(1 << 40), "below": int64(-1 << 40), "far below": int64(-1 << 60),
		"text": "x", "bytes": []byte("raw"), "void": nil, "list": []any{int16(1), amqp091.Table{"deep": int16(2)}},
	})
	want := amqp091.Table{
		"i8": int32(-1), "u8": int32(200), "i16": int32(-300), "u16": int32(300), "u32": int64(4e9), "f32": 0.5,
		"small": int32(-5), "large": int64(1 << 40), "below": -1099511627776.0, "far below": "-1152921504606846976",
		"text": "x", "bytes": []byte("raw"), "void": nil, "list": []any{int32(1), amqp091.Table{"deep": int32(2)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeliveryCount(t *testing.T) {
	for _, test := range []struct {
		headers amqp091.Table
		want    bool
	}{
		{nil, false},
		{amqp091.Table{headerDeliveries: int64(0)}, false},
		{amqp091.Table{headerDeliveries: int64(2)}, true},
		{amqp091.Table{headerDeliveries: int64(2), headerUntil: "1"}, true},
		{amqp091.Table{headerDeliveries: "garbage"}, false},
	} {
		d := newDelivery(nil, amqp091.Delivery{Headers: test.headers})
		if d.Redelivered() != test.want {
			t.Errorf("%v: redelivered %v", test.headers, d.Redelivered())
		}
		if count, _ := d.Message().Headers.Get(headerDeliveries); test.want && count != json.Number("2") {
			t.Errorf("%v: the count in the message is %v", test.headers, count)
		}
		if _, kept := d.copy().Headers[headerDeliveries]; kept {
			t.Errorf("%v: a copy keeps the count", test.headers)
		}
	}
}

// FuzzFields has any JSON become fields of the safe types alone, and come back the
// same where no type had to change.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		`{"eta": null, "n": 1099511627776, "m": -1099511627776, "f": 1.5, "l": [1, "x", {"d": true}]}`,
		`{"": 1e999}`, `[[[[]]]]`, `"x"`, `-0`, `9223372036854775808`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := protocol.Decode(text)
		if err != nil {
			return
		}
		field, err := toField(in)
		if err != nil {
			return // a name that is too long
		}
		wantSafe(t, field)
		out := fromField(field)
		again, err := toField(out)
		if diff := cmp.Diff(field, again); err != nil || diff != "" {
			t.Errorf("read and written again: %v %s", err, diff)
		}
		wantSafe(t, safeField(field))
	})
}

func wantSafe(t *testing.T, field any) {
	t.Helper()
	switch v := field.(type) {
	case nil, bool, string, int32, float64:
	case int64:
		if v < 0 {
			t.Errorf("a negative 64-bit integer: %d", v)
		}
	case []any:
		for _, e := range v {
			wantSafe(t, e)
		}
	case amqp091.Table:
		for _, e := range v {
			wantSafe(t, e)
		}
	default:
		t.Errorf("%T %v is not safe", v, v)
	}
}
