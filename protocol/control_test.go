package protocol

import (
	"reflect"
	"testing"
	"unicode/utf8"
)

// Every control request and reply of Celery is read and written again, byte for
// byte.
func TestControlOfCelery(t *testing.T) {
	requests, replies := 0, 0
	for _, g := range golden[[]goldenMessage](t, "control.json") {
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
	if requests < 50 || replies < 40 {
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

func FuzzDecodeControl(f *testing.F) {
	for _, g := range golden[[]goldenMessage](f, "control.json") {
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
