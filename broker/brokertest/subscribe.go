package brokertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

func subscribe(t *testing.T, b broker.Broker, opts broker.SubscribeOptions) broker.Subscription {
	t.Helper()
	sub, err := b.Subscribe(within(t, wait), opts)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	t.Cleanup(func() { sub.Close() })
	return sub
}

func control(node string) broker.SubscribeOptions {
	return broker.SubscribeOptions{
		Exchange: protocol.ControlExchange, Kind: broker.Fanout, Queue: protocol.ControlQueue(node),
		TTL: 5 * time.Minute, Expires: 10 * time.Second,
	}
}

func events(pattern string) broker.SubscribeOptions {
	return broker.SubscribeOptions{
		Exchange: "celeryev", Kind: broker.Topic, RoutingKey: pattern, Queue: "celeryev." + uuid.NewString(),
		DurableExchange: true, TTL: 5 * time.Second, Expires: time.Minute,
	}
}

func next(t *testing.T, sub broker.Subscription) *protocol.Message {
	t.Helper()
	m, err := sub.Next(within(t, wait))
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return m
}

func quiet(t *testing.T, sub broker.Subscription) {
	t.Helper()
	if m, err := sub.Next(within(t, 300*time.Millisecond)); err == nil {
		t.Fatalf("got %s, want nothing", m.Body)
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("next: %v, want the deadline", err)
	}
}

func note(body string) *protocol.Message {
	m := protocol.NewMessage(protocol.Object{{Name: "hostname", Value: "w@h"}}, []byte(body))
	m.Properties.DeliveryMode = protocol.Transient
	return m
}

func send(t *testing.T, b broker.Broker, exchange, kind, key, body string) {
	t.Helper()
	p := broker.Publishing{Exchange: exchange, Kind: kind, RoutingKey: key, Message: note(body)}
	if err := b.Publish(within(t, wait), p); err != nil {
		t.Fatalf("publish to %s: %v", exchange, err)
	}
}

func (s suite) fanout(t *testing.T) {
	b := s.broker(t)
	one, two := subscribe(t, b, control("one@"+unique("h"))), subscribe(t, s.broker(t), control("two@"+unique("h")))
	send(t, b, protocol.ControlExchange, broker.Fanout, "", `{"method": "ping"}`)
	for _, sub := range []broker.Subscription{one, two} {
		if m := next(t, sub); string(m.Body) != `{"method": "ping"}` || m.Headers.String("hostname") != "w@h" {
			t.Errorf("got %s with headers %v", m.Body, m.Headers)
		}
		quiet(t, sub)
	}
}

func (s suite) topicEvents(t *testing.T) {
	b := s.broker(t)
	all, workers := subscribe(t, b, events("#")), subscribe(t, b, events("worker.#"))
	send(t, b, "celeryev", broker.Topic, "worker.heartbeat", "beat")
	send(t, b, "celeryev", broker.Topic, "task.multi", "tasks")
	for _, want := range []string{"beat", "tasks"} {
		if m := next(t, all); string(m.Body) != want {
			t.Errorf("got %s, want %s", m.Body, want)
		}
	}
	if m := next(t, workers); string(m.Body) != "beat" || m.Properties.RoutingKey != "worker.heartbeat" {
		t.Errorf("got %s with routing key %q", m.Body, m.Properties.RoutingKey)
	}
	quiet(t, workers)
}

func reply(oid string) broker.SubscribeOptions {
	return broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: oid, Queue: protocol.ReplyQueue(oid),
		TTL: 10 * time.Second, Expires: 10 * time.Second,
	}
}

func (s suite) directReply(t *testing.T) {
	client, worker := s.broker(t), s.broker(t)
	mine, other := uuid.NewString(), uuid.NewString()
	sub := subscribe(t, client, reply(mine))
	for _, oid := range []string{other, mine} {
		send(t, worker, protocol.ReplyExchange, broker.Direct, oid, oid)
	}
	if m := next(t, sub); string(m.Body) != mine {
		t.Errorf("got the reply to %s, want %s", m.Body, mine)
	}
	quiet(t, sub)
}

func (s suite) rpcQueue(t *testing.T) {
	b, oid := s.broker(t), uuid.NewString()
	sub := subscribe(t, b, broker.SubscribeOptions{Queue: oid, DurableQueue: true, NotExclusive: true, Expires: time.Hour})
	m := note("result")
	m.Properties.CorrelationID = "task"
	if err := b.Publish(within(t, wait), broker.Publishing{RoutingKey: oid, Message: m}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, sub); string(m.Body) != "result" || m.Properties.CorrelationID != "task" {
		t.Errorf("got %s for %q", m.Body, m.Properties.CorrelationID)
	}
}

func (s suite) subscriptionClose(t *testing.T) {
	b := s.broker(t)
	for _, opts := range []broker.SubscribeOptions{control("n@" + unique("h")), events("#"), reply(uuid.NewString())} {
		sub := subscribe(t, b, opts)
		time.AfterFunc(100*time.Millisecond, func() { sub.Close() })
		if _, err := sub.Next(within(t, wait)); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("next on %s after close: %v, want ErrClosed", opts.Exchange, err)
		}
		if err := sub.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	}
	sub := subscribe(t, b, control("n@"+unique("h")))
	b.Close()
	if _, err := sub.Next(within(t, wait)); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("next after the broker was closed: %v, want ErrClosed", err)
	}
}
