package traps

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// captured is a remote control message of Celery as it was on the wire.
type captured struct {
	Case    string
	Kind    string // "request" or "reply"
	Headers json.RawMessage
	Body    string
}

func capturedControl(t *testing.T, file string) []captured {
	t.Helper()
	data, err := os.ReadFile("../../protocol/testdata/golden/" + file)
	must(t, err)
	var out []captured
	must(t, json.Unmarshal(data, &out))
	if len(out) < 90 {
		t.Fatalf("%s holds only %d messages", file, len(out))
	}
	return out
}

// request is what a captured request asks.
func (c captured) request(t *testing.T) *protocol.ControlRequest {
	t.Helper()
	headers, err := protocol.DecodeObject(c.Headers)
	must(t, err)
	r, err := protocol.DecodeControlRequest(protocol.NewMessage(headers, []byte(c.Body)))
	must(t, err)
	return r
}

// recorder is a broker that keeps what is published; nobody ever answers.
type recorder struct {
	broker.Broker
	broker.Subscription
	published []broker.Publishing
}

func (r *recorder) Publish(_ context.Context, msgs ...broker.Publishing) error {
	r.published = append(r.published, msgs...)
	return nil
}

func (r *recorder) Subscribe(context.Context, broker.SubscribeOptions) (broker.Subscription, error) {
	return r, nil
}

func (r *recorder) Next(ctx context.Context) (*protocol.Message, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (r *recorder) Close() error { return nil }

// For the same call our client writes what Python's writes, but for tickets,
// reply addresses, clocks and times.
func TestControlRequestsAreCelerys(t *testing.T) {
	for _, file := range []string{"control.json", "control56.json"} {
		for _, c := range capturedControl(t, file) {
			if c.Kind != "request" {
				continue
			}
			t.Run(file+" "+c.Case, func(t *testing.T) {
				want := c.request(t)
				if want.Pattern != "" {
					t.Skip("the client addresses nodes by name alone")
				}
				checkRequest(t, c, want, publishedFor(t, want))
			})
		}
	}
}

// publishedFor is what our client publishes for the same call.
func publishedFor(t *testing.T, want *protocol.ControlRequest) *protocol.Message {
	t.Helper()
	rec := &recorder{}
	c := client.New(client.Config{Broker: rec})
	if want.ReplyTo == "" {
		must(t, c.Broadcast(t.Context(), want.Method, want.Arguments, want.Destination...))
	} else {
		_, err := c.Inspect(t.Context(), want.Method, want.Arguments, client.ControlOptions{Destination: want.Destination, Timeout: 1})
		must(t, err)
	}
	if len(rec.published) != 1 || rec.published[0].Exchange != protocol.ControlExchange || rec.published[0].Kind != broker.Fanout {
		t.Fatalf("published %+v", rec.published)
	}
	return rec.published[0].Message
}

func checkRequest(t *testing.T, c captured, want *protocol.ControlRequest, m *protocol.Message) {
	t.Helper()
	got, err := protocol.DecodeControlRequest(m)
	must(t, err)
	if (got.Ticket == "") != (want.Ticket == "") || (got.ReplyTo == "") != (want.ReplyTo == "") {
		t.Errorf("ticket %q, reply to %q", got.Ticket, got.ReplyTo)
	}
	got.Ticket, got.ReplyTo = want.Ticket, want.ReplyTo
	again, err := got.Encode()
	if err != nil || string(again.Body) != c.Body {
		t.Errorf("got  %s, %v\nwant %s", again.Body, err, c.Body)
	}
	headers, err := protocol.DecodeObject(c.Headers)
	must(t, err)
	if diff := shapeDiff("headers", m.Headers, headers); len(diff) > 0 {
		t.Errorf("%q", diff)
	}
}
