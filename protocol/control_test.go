package protocol

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// goldenControl are the requests and replies of Celery 5.7 and 5.6.
func goldenControl(t testing.TB) []goldenMessage {
	return append(golden[[]goldenMessage](t, "golden/control.json"), golden[[]goldenMessage](t, "golden/control56.json")...)
}

// Every control request and reply of Celery is read and written again, byte for
// byte.
func TestControlOfCelery(t *testing.T) {
	requests, replies := 0, 0
	for _, g := range goldenControl(t) {
		t.Run(g.Kind+" "+g.Case, func(t *testing.T) {
			in := g.message(t)
			var out *Message
			var err error
			if g.Kind == "request" {
				requests++
				r, derr := DecodeControlRequest(in)
				if derr != nil {
					t.Fatal(derr)
				}
				out, err = r.Encode()
			} else {
				replies++
				r, derr := DecodeControlReply(in)
				if derr != nil {
					t.Fatal(derr)
				}
				out, err = r.Encode()
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(out.Body) != g.Body {
				t.Errorf("got  %s\nwant %s", out.Body, g.Body)
			}
			if out.Properties.DeliveryMode != g.DeliveryMode {
				t.Errorf("delivery mode %d, want %d", out.Properties.DeliveryMode, g.DeliveryMode)
			}
			sameHeaders(t, out.Headers, in.Headers)
		})
	}
	if requests < 100 || replies < 100 {
		t.Errorf("only %d requests and %d replies", requests, replies)
	}
}

func TestDecodeControlRequestOfOtherPeers(t *testing.T) {
	for _, test := range []struct {
		body string
		want ControlRequest
	}{
		{`{"method": "ping"}`, ControlRequest{Method: "ping"}},
		{`{"method": "ping", "arguments": null, "destination": "a@b", "reply_to": null}`, ControlRequest{Method: "ping", Destination: []string{"a@b"}}},
		{`{"method": "ping", "destination": ["a", 3, "b"], "pattern": "w*", "matcher": "glob"}`,
			ControlRequest{Method: "ping", Destination: []string{"a", "b"}, Pattern: "w*", Matcher: "glob"}},
		{`{"method": "ping", "reply_to": {"exchange": "e", "routing_key": "r"}, "ticket": "t"}`,
			ControlRequest{Method: "ping", ReplyTo: "r", ReplyToExch: "e", Ticket: "t"}},
	} {
		got, err := DecodeControlRequest(NewMessage(nil, []byte(test.body)))
		if err != nil || !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s: got %+v, %v", test.body, got, err)
		}
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"method": 3}`, `{"method": ""}`, `{"method": "x", "arguments": [1]}`} {
		if got, err := DecodeControlRequest(NewMessage(nil, []byte(bad))); err == nil {
			t.Errorf("%s is read as %+v", bad, got)
		}
	}
	for _, bad := range []string{``, `{}`, `{"a": 1, "b": 2}`, `[1]`} {
		if got, err := DecodeControlReply(NewMessage(nil, []byte(bad))); err == nil {
			t.Errorf("%s is read as %+v", bad, got)
		}
	}
}

// helloRevoked is the member revoked of a captured message of hello: an argument
// of a request, a member of a reply.
func helloRevoked(t testing.TB, g goldenMessage) (any, bool) {
	t.Helper()
	if !strings.HasPrefix(g.Case, "hello") {
		return nil, false
	}
	o, err := DecodeObject([]byte(g.Body))
	if err != nil {
		t.Fatal(err)
	}
	v, ok := o.Get("arguments")
	if !ok {
		v = o[0].Value
	}
	return v.(Object).Get("revoked")
}

// The revoked ids of hello are a list or an object, depending on the version of
// the peer.
func TestTaskIDsOfHello(t *testing.T) {
	shapes := map[string]int{}
	for _, g := range goldenControl(t) {
		v, ok := helloRevoked(t, g)
		if !ok {
			continue
		}
		shapes[typeName(v)]++
		want := map[string]string{
			`request hello`: "", `reply hello`: "",
			`request hello with ids (5.7)`: "peer-1 peer-2", `reply hello with ids (5.7)`: "peer-1 peer-2",
			`request hello with stamped ids (5.6)`: "peer-3", `reply hello with stamped ids (5.6)`: "peer-1 peer-2 peer-3",
		}[g.Kind+" "+g.Case]
		if got := strings.Join(TaskIDs(v), " "); got != want {
			t.Errorf("%s %s: %q, want %q", g.Kind, g.Case, got, want)
		}
	}
	if len(shapes) != 2 || shapes["array"] < 2 || shapes["object"] < 2 {
		t.Errorf("shapes are %v", shapes)
	}
	for data, want := range map[string]string{`"one"`: "one", `null`: "", `3`: "", `["a", 1, null, ["b"], "c"]`: "a c", `{}`: ""} {
		if got := strings.Join(TaskIDs(decode(t, data)), " "); got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
}

func FuzzTaskIDs(f *testing.F) {
	for _, g := range goldenControl(f) {
		if v, ok := helloRevoked(f, g); ok {
			raw, err := Marshal(v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add([]byte(raw))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data)
		if err != nil {
			return
		}
		ids := TaskIDs(v)
		raw, err := Marshal(ids) // as we send them
		if err != nil {
			t.Fatal(err)
		}
		if again := TaskIDs(decode(t, string(raw))); len(again) != len(ids) || utf8.Valid(data) && !slices.Equal(again, ids) {
			t.Fatalf("%s: %q became %q", data, ids, again)
		}
	})
}

func FuzzDecodeControl(f *testing.F) {
	for _, g := range goldenControl(f) {
		f.Add([]byte(g.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := DecodeControlReply(NewMessage(nil, body)); err == nil {
			if _, err := r.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		r, err := DecodeControlRequest(NewMessage(nil, body))
		if err != nil {
			return
		}
		m, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeControlRequest(m)
		if err != nil || utf8.Valid(body) && again.Method != r.Method {
			t.Fatalf("%s became %s: %v", body, m.Body, err)
		}
	})
}
