package rpc_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
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
	// asked is how the subscription was asked for.
	asked atomic.Pointer[broker.SubscribeOptions]
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

func (p *pipe) Subscribe(_ context.Context, opts broker.SubscribeOptions) (broker.Subscription, error) {
	p.asked.Store(&opts)
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

func TestSerializers(t *testing.T) {
	for name, mime := range map[string]string{"": "application/json", "msgpack": "application/x-msgpack", "yaml": "application/x-yaml"} {
		p := newPipe()
		worker, client := rpc.New(rpc.Config{Broker: p, Serializer: name}), rpc.New(rpc.Config{Broker: p})
		w, err := client.Watch(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		put := backend.Put{Result: &protocol.Result{TaskID: "id", Status: "SUCCESS", Value: protocol.Raw(`{"k": [1, 2.5]}`)}, ReplyTo: client.ReplyTo()}
		if err := worker.Put(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		if r, err := w.Next(t.Context()); err != nil || string(r.Value) != `{"k": [1, 2.5]}` {
			t.Errorf("%q: got %+v, %v", name, r, err)
		}
		if got := p.sent[0].Message.ContentType; got != mime {
			t.Errorf("%q: sent as %s", name, got)
		}
		worker.Close()
		client.Close()
	}
	own := rpc.New(rpc.Config{Broker: newPipe(), Serializer: "own"})
	defer own.Close()
	if err := own.Put(t.Context(), backend.Put{Result: &protocol.Result{}, ReplyTo: "oid"}); err == nil {
		t.Error("an unknown serializer was taken")
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

func TestResultsAreBoundedInBytes(t *testing.T) {
	b := rpc.New(rpc.Config{Broker: newPipe(), KeepBytes: 1000})
	defer b.Close()
	w, err := b.Watch(t.Context(), "1", "2", "3")
	if err != nil {
		t.Fatal(err)
	}
	large := protocol.Raw(`"` + strings.Repeat("x", 600) + `"`)
	for _, id := range []string{"1", "2", "2", "3"} {
		put := backend.Put{Result: &protocol.Result{TaskID: id, Status: protocol.StateFailure, Value: large}, ReplyTo: b.ReplyTo()}
		switch id {
		case "1": // of result_extended
			put.Result.Value, put.Result.Extra = nil, protocol.Object{{Name: "args", Value: large}}
		case "3":
			put.Result.Value = protocol.Raw("null")
		}
		if err := b.Put(t.Context(), put); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]string{"1": protocol.StatePending, "2": protocol.StateFailure, "3": protocol.StateFailure} {
		if r, err := b.Get(t.Context(), id); err != nil || r.Status != want {
			t.Errorf("result %s: %+v, %v; want %s", id, r, err, want)
		}
	}
}

// Several watches get every result; of one that nobody reads the newest states
// are kept.
func TestSlowWatchIsBounded(t *testing.T) {
	b := rpc.New(rpc.Config{Broker: newPipe()})
	defer b.Close()
	reading, err := b.Watch(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	slow, err := b.Watch(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	const last = 60
	for i := range last + 1 {
		r := &protocol.Result{TaskID: "id", Status: "PROGRESS", Value: protocol.Raw(strconv.Itoa(i))}
		if err := b.Put(t.Context(), backend.Put{Result: r, ReplyTo: b.ReplyTo()}); err != nil {
			t.Fatal(err)
		}
		if got, err := reading.Next(t.Context()); err != nil || string(got.Value) != string(r.Value) {
			t.Fatalf("got %+v, %v, want %s", got, err, r.Value)
		}
	}
	for seen := 1; ; seen++ {
		r, err := slow.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Value) == strconv.Itoa(last) {
			if seen != 16 {
				t.Errorf("%d states were kept for a slow reader", seen)
			}
			return
		}
	}
}

func TestForeignResult(t *testing.T) {
	b := rpc.New(rpc.Config{Broker: newPipe()})
	defer b.Close()
	_, err := b.Get(t.Context(), "foreign")
	if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), "Redis") {
		t.Errorf("without a queue: %v, want the reason and the next step", err)
	}
	b.ReplyTo()
	if r, err := b.Get(t.Context(), "ours"); err != nil || r.Status != protocol.StatePending {
		t.Errorf("with a queue: %+v, %v, want PENDING", r, err)
	}
	if _, ok := any(b).(backend.Chorder); ok {
		t.Error("it claims to join chords")
	}
}

func TestPersistentAndWithoutCorrelation(t *testing.T) {
	p := newPipe()
	b := rpc.New(rpc.Config{Broker: p, Persistent: true, Expires: -1})
	defer b.Close()
	put := backend.Put{Result: &protocol.Result{TaskID: "id", Status: protocol.StateSuccess}, ReplyTo: "oid"}
	if err := b.Put(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if m := p.sent[0].Message.Properties; m.DeliveryMode != protocol.Persistent || m.CorrelationID != "id" {
		t.Errorf("sent with %+v", m)
	}
	b.ReplyTo()
	if o := p.asked.Load(); o.Expires != 0 || !o.DurableQueue || !o.NotExclusive || o.Exchange != "" {
		t.Errorf("the queue is asked for with %+v", o)
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
