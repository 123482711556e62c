package protocol

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

// goldenTask is a task message that a Python worker published.
type goldenTask struct {
	Case            string
	Queue           string
	Headers         json.RawMessage
	Properties      goldenProperties
	ContentType     string `json:"content_type"`
	ContentEncoding string `json:"content_encoding"`
	Body            string
}

type goldenProperties struct {
	CorrelationID string `json:"correlation_id"`
	ReplyTo       string `json:"reply_to"`
	DeliveryMode  int    `json:"delivery_mode"`
	DeliveryInfo  struct {
		Exchange   string
		RoutingKey string `json:"routing_key"`
	} `json:"delivery_info"`
	Priority    int
	DeliveryTag string `json:"delivery_tag"`
}

func (g goldenTask) message(t testing.TB) *Message {
	t.Helper()
	headers, err := DecodeObject(g.Headers)
	if err != nil {
		t.Fatal(err)
	}
	p := g.Properties
	return &Message{
		Headers: headers, ContentType: g.ContentType, ContentEncoding: g.ContentEncoding, Body: []byte(g.Body),
		Properties: Properties{
			CorrelationID: p.CorrelationID, ReplyTo: p.ReplyTo, DeliveryMode: p.DeliveryMode, Priority: &p.Priority,
			Exchange: p.DeliveryInfo.Exchange, RoutingKey: p.DeliveryInfo.RoutingKey, DeliveryTag: p.DeliveryTag,
		},
	}
}

// What a Python worker publishes (retries, steps of chains, bodies of chords,
// callbacks, errbacks) means the same after we have read and written it.
func TestWorkerMessagesOfCelery(t *testing.T) {
	for i, g := range golden[[]goldenTask](t, "golden/worker_messages.json") {
		t.Run(fmt.Sprintf("%d %s", i, g.Case), func(t *testing.T) {
			in := g.message(t)
			task, err := DecodeTask(in)
			if err != nil {
				t.Fatal(err)
			}
			out, err := task.Encode()
			if err != nil {
				t.Fatal(err)
			}
			sameMeaning(t, "headers", mustMarshal(t, out.Headers), mustMarshal(t, in.Headers.Without("redelivered")))
			sameMeaning(t, "body", out.Body, withoutEmptyChain(t, in.Body))
			in.Properties.DeliveryTag = "" // the driver's
			if !reflect.DeepEqual(out.Properties, in.Properties) {
				t.Errorf("properties %+v, want %+v", out.Properties, in.Properties)
			}
			if out.ContentType != in.ContentType || out.ContentEncoding != in.ContentEncoding {
				t.Errorf("content %s %s, want %s %s", out.ContentType, out.ContentEncoding, in.ContentType, in.ContentEncoding)
			}
		})
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sameMeaning compares JSON values: members in any order, numbers as they are
// written, since 1 and 1.0 differ in Python.
func sameMeaning(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !reflect.DeepEqual(generic(t, got), generic(t, want)) {
		t.Errorf("%s\n got %s\nwant %s", what, got, want)
	}
}

func generic(t *testing.T, data []byte) any {
	t.Helper()
	return unordered(decode(t, string(data)))
}

func unordered(v any) any {
	switch v := v.(type) {
	case Object:
		m := make(map[string]any, len(v))
		for _, f := range v {
			m[f.Name] = unordered(f.Value)
		}
		return m
	case []any:
		for i := range v {
			v[i] = unordered(v[i])
		}
	}
	return v
}

// withoutEmptyChain writes the chain of a last step as null: Python leaves an
// empty list there.
func withoutEmptyChain(t *testing.T, body []byte) []byte {
	t.Helper()
	parts, _ := decode(t, string(body)).([]any)
	embed, _ := parts[2].(Object)
	if chain, ok := embed.Get("chain"); ok && reflect.DeepEqual(chain, []any{}) {
		parts[2] = embed.Set("chain", nil)
	}
	return mustMarshal(t, parts)
}
