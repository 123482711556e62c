package protocol

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

type goldenMessage struct {
	Case         string
	Kind         string
	RoutingKey   string `json:"routing_key"`
	Headers      json.RawMessage
	DeliveryMode int `json:"delivery_mode"`
	Body         string
	Types        []string
	Batch        bool // a JSON list, of one event too
}

func (g goldenMessage) message(t testing.TB) *Message {
	t.Helper()
	headers, err := DecodeObject(g.Headers)
	if err != nil {
		t.Fatal(err)
	}
	return NewMessage(headers, []byte(g.Body))
}

// sameHeaders compares what is written, order included.
func sameHeaders(t *testing.T, got, want Object) {
	t.Helper()
	g, _ := Marshal(got)
	w, _ := Marshal(want)
	if string(g) != string(w) {
		t.Errorf("headers %s, want %s", g, w)
	}
}

// Every kind of event of Celery is read and written again, byte for byte.
func TestEventsOfCelery(t *testing.T) {
	for _, g := range golden[[]goldenMessage](t, "golden/events.json") {
		t.Run(strings.Join(g.Types, "+"), func(t *testing.T) {
			in := g.message(t)
			events, err := DecodeEvents(in)
			if err != nil {
				t.Fatal(err)
			}
			var types []string
			for _, e := range events {
				types = append(types, e.Type)
				if e.Hostname == "" || e.PID == 0 || e.Clock == 0 || e.Timestamp < 1.7e9 {
					t.Errorf("%+v lacks something", e)
				}
				if e.IsTask() == (e.UUID() == "") {
					t.Errorf("%s with uuid %q", e.Type, e.UUID())
				}
			}
			if !slices.Equal(types, g.Types) {
				t.Fatalf("got %v", types)
			}
			out, key, err := EncodeEvents(events...)
			if err != nil {
				t.Fatal(err)
			}
			body := g.Body
			if g.Batch && len(events) == 1 { // an object here
				body, g.RoutingKey = body[1:len(body)-1], events[0].RoutingKey()
			}
			if string(out.Body) != body {
				t.Errorf("got  %s\nwant %s", out.Body, body)
			}
			if key != g.RoutingKey || out.Properties.RoutingKey != key || out.Properties.DeliveryMode != g.DeliveryMode || out.Properties.Exchange != "celeryev" {
				t.Errorf("key %s, properties %+v, want key %s", key, out.Properties, g.RoutingKey)
			}
			sameHeaders(t, out.Headers, in.Headers)
		})
	}
}

func TestDecodeEventsOfOtherPeers(t *testing.T) {
	for _, test := range []struct {
		name, body, types string
		refused           bool
	}{
		{"integer offset, no clock", `{"type": "worker-online", "hostname": "h", "utcoffset": -2, "timestamp": 1}`, "worker-online", false},
		{"nulls", `{"type": "task-sent", "hostname": "h", "utcoffset": null, "pid": null, "clock": null, "timestamp": null, "uuid": null}`, "task-sent", false},
		{"one bad in a batch", `[{"type": "a", "hostname": "h"}, 3, {"type": "b"}, {"type": "c", "hostname": "h"}]`, "a c", true},
		{"no hostname", `{"type": "a"}`, "", true},
		{"no object", `"text"`, "", true},
		{"empty batch", `[]`, "", false},
		{"broken", `{`, "", true},
	} {
		events, err := DecodeEvents(NewMessage(nil, []byte(test.body)))
		var types []string
		for _, e := range events {
			types = append(types, e.Type)
		}
		if strings.Join(types, " ") != test.types || (err != nil) != test.refused {
			t.Errorf("%s: got %v, %v", test.name, types, err)
		}
	}
	if _, _, err := EncodeEvents(); err == nil {
		t.Error("no event is a message")
	}
}

func TestUTCOffset(t *testing.T) {
	at := func(hours float64) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", int(hours*3600)))
	}
	for hours, want := range map[float64]float64{0: 0, 1: -1, -8: 8, 5.5: -5.5} {
		if got := UTCOffset(at(hours)); got != want {
			t.Errorf("%v hours east: %v", hours, got)
		}
	}
}

func FuzzDecodeEvents(f *testing.F) {
	for _, g := range golden[[]goldenMessage](f, "golden/events.json") {
		f.Add([]byte(g.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, _ := DecodeEvents(NewMessage(nil, body))
		if len(events) == 0 {
			return
		}
		m, _, err := EncodeEvents(events...)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeEvents(m)
		if err != nil || len(again) != len(events) {
			t.Fatalf("%s became %s: %v", body, m.Body, err)
		}
	})
}

// A clock that says NaN must not reach a database.
func TestDecodeEventsRefusesTimesThatAreNoNumbers(t *testing.T) {
	for body, want := range map[string]int{
		`{"type": "task-received", "hostname": "h", "uuid": "u", "timestamp": NaN}`:                  0,
		`{"type": "task-received", "hostname": "h", "uuid": "u", "timestamp": Infinity}`:             0,
		`{"type": "task-received", "hostname": "h", "uuid": "u", "timestamp": 1e999}`:                0,
		`{"type": "task-succeeded", "hostname": "h", "uuid": "u", "timestamp": 1.5, "runtime": NaN}`: 1,
	} {
		events, err := DecodeEvents(&Message{Body: []byte(body)})
		if len(events) != want || (err == nil) != (want == 1) {
			t.Errorf("%s: %d events, %v", body, len(events), err)
		}
		if want == 1 {
			if v, ok := events[0].Fields.Get("runtime"); !ok || v != nil {
				t.Errorf("%s: runtime is %v", body, v)
			}
		}
	}
}
