package redis

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/umbel-go/umbel/protocol"
)

// golden returns the list elements that Celery 5.7 wrote, by case.
func golden(t testing.TB) map[string][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Case string
		Keys map[string]struct {
			Type  string
			Value json.RawMessage
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, c := range cases {
		for _, key := range c.Keys {
			var elements []string
			if key.Type == "list" && json.Unmarshal(key.Value, &elements) == nil {
				out[c.Case] = append(out[c.Case], elements...)
			}
		}
	}
	return out
}

func TestEnvelopeIsKombus(t *testing.T) {
	cases := golden(t)
	if len(cases) < 40 {
		t.Fatalf("%d golden cases", len(cases))
	}
	for name, elements := range cases {
		for _, want := range elements {
			m, redelivered := decodeEnvelope([]byte(want))
			if m.Malformed != "" || redelivered {
				t.Errorf("%s: malformed %q, redelivered %v", name, m.Malformed, redelivered)
				continue
			}
			if strings.Contains(want, `"body_encoding": "base64"`) == (len(m.Body) == 0) {
				t.Errorf("%s: body %q", name, m.Body)
			}
			p := m.Properties
			got, err := appendEnvelope(nil, m, p.Exchange, p.RoutingKey, p.DeliveryTag)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			// A producer that gives these reprs has them in the headers too.
			want = strings.Replace(want, `"argsrepr": "<args>", "kwargsrepr": "<kw>", "delivery_mode"`, `"delivery_mode"`, 1)
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("%s (-python +go):\n%s", name, diff)
			}
		}
	}
}

func TestRedeliver(t *testing.T) {
	for name, elements := range golden(t) {
		for _, before := range elements {
			after := string(redeliver([]byte(before)))
			if _, again := decodeEnvelope([]byte(after)); !again {
				t.Errorf("%s: not marked: %s", name, after)
			}
			stripped := strings.Replace(after, `, "redelivered": true}, "properties"`, `}, "properties"`, 1)
			stripped = strings.Replace(stripped, `"headers": {"redelivered": true}`, `"headers": {}`, 1)
			stripped = strings.Replace(stripped, `, "redelivered": true}, "priority"`, `}, "priority"`, 1)
			if diff := cmp.Diff(before, stripped); diff != "" {
				t.Errorf("%s: more than the marks changed:\n%s", name, diff)
			}
			if twice := string(redeliver([]byte(after))); twice != after {
				t.Errorf("%s: marking twice changes it", name)
			}
		}
	}
	for _, odd := range []string{"", "x", "[]", `{"headers": null, "properties": 3}`, `{"properties": {"delivery_info": []}}`} {
		if got := string(redeliver([]byte(odd))); got != odd {
			t.Errorf("redeliver(%q) = %q, want it unchanged", odd, got)
		}
	}
}

func TestNoEnvelope(t *testing.T) {
	for _, c := range []struct{ element, why string }{
		{"", "not a kombu envelope"},
		{"x", "not a kombu envelope"},
		{"null", "object is expected"},
		{`{}`, "no properties"},
		{`{"body": "e30=", "properties": null}`, "no properties"},
		{`{"body": "e30="}`, "no properties"},
		{`{"properties": {}}`, "body is not a string"},
		{`{"body": {}, "properties": {}}`, "body is not a string"},
		{`{"body": "%%%", "properties": {"body_encoding": "base64"}}`, "not base64"},
		{`{"body": "zz", "headers": {"umbel_malformed": "hex"}, "properties": {}}`, "hexadecimal"},
	} {
		m, _ := decodeEnvelope([]byte(c.element))
		if !strings.Contains(m.Malformed, c.why) || string(m.Body) != c.element {
			t.Errorf("decode(%q): malformed %q, body %q; want %q and the element", c.element, m.Malformed, m.Body, c.why)
		}
	}
	m, _ := decodeEnvelope([]byte(`{"body": "{\"a\": 1}", "properties": {}}`))
	if m.Malformed != "" || string(m.Body) != `{"a": 1}` || m.ContentType != "" || m.Headers != nil {
		t.Errorf("a sparse envelope: %+v", m)
	}
}

func TestRecords(t *testing.T) {
	for _, queue := range []string{"celery", `q"uo\te`, "日本", "a/b", `ends\`} {
		for _, envelope := range []string{`{"a": "b", "c": ", \"\", \""}`, `{}`} {
			raw := "[" + envelope + recordTail(queue)
			r, err := parseRecord("t", []byte(raw))
			if err != nil || string(r.envelope) != envelope || r.exchange != "" || r.routingKey != queue {
				t.Errorf("parseRecord(%s) = %s %q %q, %v", raw, r.envelope, r.exchange, r.routingKey, err)
			}
			if tail := parseTail([]byte(raw[5:])); tail.routingKey != queue || tail.exchange != "" {
				t.Errorf("parseTail(%s) = %q %q", raw[5:], tail.exchange, tail.routingKey)
			}
		}
	}
	for _, element := range []string{"{not json}", `{"a": "}`, `{}, {}`, `{}, "", "other"], [{}`} {
		r, err := parseRecord("t", []byte("["+element+recordTail("celery")))
		m, _ := decodeEnvelope(r.envelope)
		if err != nil || string(m.Body) != element || m.Malformed == "" || r.exchange != "" || r.routingKey != "celery" {
			t.Errorf("record of %s: %s %q, %v; want it wrapped", element, r.envelope, r.routingKey, err)
		}
	}
	for _, bad := range []string{"", "[]", "[{}]", `[{}, ""]`, "x", `{}, "", "celery"]`} {
		if _, err := parseRecord("t", []byte(bad)); err == nil {
			t.Errorf("parseRecord(%q) succeeded", bad)
		}
		parseTail([]byte(bad))
	}
}

// FuzzRecord reads what may lie in the unacked hash.
func FuzzRecord(f *testing.F) {
	for _, elements := range golden(f) {
		f.Add([]byte("["+elements[0]+recordTail("celery")), "celery")
	}
	f.Add([]byte(`[{}, "ex", "key"]`), `q"\`)
	f.Add([]byte(`[{}, "", "]`), "")
	f.Fuzz(func(t *testing.T, data []byte, queue string) {
		if r, err := parseRecord("t", data); err == nil {
			if _, err := protocol.Decode(r.envelope); err != nil {
				t.Errorf("envelope of a record: %v", err)
			}
			m, _ := decodeEnvelope(r.envelope)
			if m.Malformed == "" {
				whole, _ := decodeEnvelope(completeEnvelope(r.envelope, m, "q", "tag"))
				if p := whole.Properties; whole.Malformed != "" || string(whole.Body) != string(m.Body) || p.DeliveryTag == "" || whole.Headers == nil {
					t.Errorf("completing %q changed it: %+v", r.envelope, whole)
				}
			}
		}
		parseTail(data)
		if !utf8.ValidString(queue) {
			return
		}
		ours := []byte("[{}" + recordTail(queue))
		if r, err := parseRecord("t", ours); err != nil || r.routingKey != queue || parseTail(ours).routingKey != queue {
			t.Errorf("record %q of queue %q: %+v, %v", ours, queue, r, err)
		}
	})
}

func TestCompleteEnvelope(t *testing.T) {
	for raw, want := range map[string]string{
		`{"body": "x", "properties": {}}`: `{"body": "x", "properties": {"delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "t"}, "headers": {}}`,
		`{"headers": null, "body": "x", "properties": {"delivery_tag": "own", "delivery_info": {"exchange": "e"}, "n": 1.0}}`: `{"headers": {}, "body": "x", "properties": {"delivery_tag": "own", "delivery_info": {"exchange": "e", "routing_key": "q"}, "n": 1.0}}`,
		`{"headers":{},"body":"x","properties":{"delivery_tag":"own","delivery_info":{"exchange":"","routing_key":"q"}}}`:     `{"headers":{},"body":"x","properties":{"delivery_tag":"own","delivery_info":{"exchange":"","routing_key":"q"}}}`,
	} {
		m, _ := decodeEnvelope([]byte(raw))
		if got := completeEnvelope([]byte(raw), m, "q", "t"); string(got) != want {
			t.Errorf("complete(%s)\n  = %s\nwant %s", raw, got, want)
		}
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	for _, elements := range golden(f) {
		f.Add([]byte(elements[0]))
	}
	f.Add(wrapMalformed([]byte("x\x00\xff"), "q", "t"))
	f.Add([]byte(`[{"a": 1}, "", "celery"]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _ := decodeEnvelope(data)
		if m.Malformed != "" && m.Headers != nil {
			t.Errorf("a malformed message has headers")
		}
		if m.Malformed == "" {
			again, err := appendEnvelope(nil, m, m.Properties.Exchange, m.Properties.RoutingKey, m.Properties.DeliveryTag)
			if err != nil {
				t.Fatal(err)
			}
			back, _ := decodeEnvelope(again)
			if back.Malformed != "" || string(back.Body) != string(m.Body) {
				t.Errorf("does not survive: %q", again)
			}
		}
		if marked := redeliver(data); m.Malformed == "" {
			if b, _ := decodeEnvelope(marked); string(b.Body) != string(m.Body) {
				t.Errorf("marking changed the body: %q", marked)
			}
		}
		parseTail(data)
		if r, err := parseRecord("t", data); err == nil {
			if _, err := protocol.Decode(r.envelope); err != nil {
				t.Errorf("envelope of a record: %v", err)
			}
		}
	})
}
