package rpc_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/backendtest"
	"github.com/umbel-go/umbel/backend/rpc"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func TestConformance(t *testing.T) {
	t.Run("amqp", func(t *testing.T) {
		url := testenv.AMQP(t)
		conform(t, func() (broker.Broker, error) { return amqp.New(amqp.Config{URL: url}) })
	})
	t.Run("redis", func(t *testing.T) {
		url := testenv.Redis(t)
		conform(t, func() (broker.Broker, error) { return redis.New(redis.Config{URL: url}) })
	})
}

func conform(t *testing.T, dial func() (broker.Broker, error)) {
	backendtest.Run(t, backendtest.Driver{Open: func(t *testing.T) backend.Backend {
		b, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return rpc.New(rpc.Config{Broker: b})
	}})
}

// pipe is a broker that hands what is published to its one subscription.
type pipe struct {
	broker.Broker
	sent []broker.Publishing
	in   chan *protocol.Message
	fail error
}

func (p *pipe) Publish(_ context.Context, msgs ...broker.Publishing) error {
	if p.fail != nil {
		return p.fail
	}
	p.sent = append(p.sent, msgs...)
	for _, m := range msgs {
		p.in <- m.Message
	}
	return nil
}

func (p *pipe) Subscribe(context.Context, broker.SubscribeOptions) (broker.Subscription, error) {
	return p, p.fail
}

func (p *pipe) Next(ctx context.Context) (*protocol.Message, error) {
	select {
	case m := <-p.in:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *pipe) Close() error { return nil }

func newPipe() *pipe { return &pipe{in: make(chan *protocol.Message, 100)} }

func TestMessageIsCelerys(t *testing.T) {
	p := newPipe()
	b := rpc.New(rpc.Config{Broker: p})
	defer b.Close()
	err := b.Put(t.Context(),
		backend.Put{Result: &protocol.Result{TaskID: "unwanted", Status: protocol.StateSuccess}},
		backend.Put{Result: &protocol.Result{TaskID: "id", Status: "STARTED", Value: protocol.Raw("1")}, ReplyTo: "oid", CorrelationID: "corr"})
	if err != nil {
		t.Fatal(err)
	}
	lowest := 0
	want := []broker.Publishing{{RoutingKey: "oid", Message: &protocol.Message{
		Headers: protocol.Object{}, ContentType: "application/json", ContentEncoding: "utf-8",
		Properties: protocol.Properties{CorrelationID: "corr", DeliveryMode: 1, Priority: &lowest, RoutingKey: "oid"},
		Body:       []byte(`{"status": "STARTED", "result": 1, "traceback": null, "children": [], "date_done": null, "task_id": "id"}`),
	}}}
	if diff := cmp.Diff(want, p.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestOldestAreForgotten(t *testing.T) {
	b := rpc.New(rpc.Config{Broker: newPipe(), Keep: 2})
	defer b.Close()
	w, err := b.Watch(t.Context(), "1", "2", "3")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "3"} {
		put := backend.Put{Result: &protocol.Result{TaskID: id, Status: protocol.StateSuccess}, ReplyTo: b.ReplyTo()}
		if err := b.Put(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]string{"1": protocol.StatePending, "2": protocol.StateSuccess, "3": protocol.StateSuccess} {
		if r, err := b.Get(t.Context(), id); err != nil || r.Status != want {
			t.Errorf("result %s: %+v, %v; want %s", id, r, err, want)
		}
	}
	if err := b.Forget(t.Context(), "3"); err != nil {
		t.Fatal(err)
	}
	if r, _ := b.Get(t.Context(), "3"); r.Status != protocol.StatePending {
		t.Errorf("a forgotten result is %s", r.Status)
	}
}

func TestRefusedQueueReachesTheCaller(t *testing.T) {
	refused := errors.New("refused")
	p := newPipe()
	p.fail = refused
	b := rpc.New(rpc.Config{Broker: p})
	defer b.Close()
	if _, err := b.Watch(t.Context(), "id"); !errors.Is(err, refused) {
		t.Errorf("watch: %v, want the broker's refusal", err)
	}
	if _, err := b.Get(t.Context(), "id"); !errors.Is(err, refused) {
		t.Errorf("get: %v, want the broker's refusal", err)
	}
	p.fail = broker.ErrConnection
	put := backend.Put{Result: &protocol.Result{TaskID: "id"}, ReplyTo: "oid"}
	if err := b.Put(t.Context(), put); !errors.Is(err, backend.ErrConnection) {
		t.Errorf("put: %v, want ErrConnection", err)
	}
}
