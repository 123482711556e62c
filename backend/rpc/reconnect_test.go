package rpc_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/rpc"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// A client whose connection breaks while it waits is back in its queue, and gets
// what is sent from then on.
func TestResultAfterAReconnect(t *testing.T) {
	for name, open := range map[string]func(string) (broker.Broker, error){
		"amqp":  func(u string) (broker.Broker, error) { return amqp.New(amqp.Config{URL: u}) },
		"redis": func(u string) (broker.Broker, error) { return redis.New(redis.Config{URL: u}) },
	} {
		t.Run(name, func(t *testing.T) {
			target := map[string]func(testing.TB) string{"amqp": testenv.AMQP, "redis": testenv.Redis}[name](t)
			p := testenv.NewProxy(t, target)
			client, worker := newBackend(t, open, p.URL), newBackend(t, open, target)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w, err := client.Watch(ctx, "before", "after")
			if err != nil {
				t.Fatal(err)
			}
			send(ctx, t, worker, client.ReplyTo(), "before")
			next(ctx, t, w, "before")
			p.Cut()
			// RabbitMQ deletes the queue with its last consumer, as Celery has it, so
			// what is sent before we are back is lost.
			arrived := make(chan struct{})
			var sending sync.WaitGroup
			sending.Go(func() {
				for {
					send(ctx, t, worker, client.ReplyTo(), "after")
					select {
					case <-arrived:
						return
					case <-ctx.Done():
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			})
			next(ctx, t, w, "after")
			close(arrived)
			sending.Wait()
		})
	}
}

func newBackend(t *testing.T, open func(string) (broker.Broker, error), url string) *rpc.Backend {
	t.Helper()
	b, err := open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	r := rpc.New(rpc.Config{Broker: b})
	t.Cleanup(func() { r.Close() })
	return r
}

func send(ctx context.Context, t *testing.T, b backend.Backend, replyTo, id string) {
	put := backend.Put{Result: &protocol.Result{TaskID: id, Status: protocol.StateSuccess}, ReplyTo: replyTo}
	if err := b.Put(ctx, put); err != nil {
		t.Errorf("send: %v", err)
	}
}

func next(ctx context.Context, t *testing.T, w backend.Watch, id string) {
	t.Helper()
	if r, err := w.Next(ctx); err != nil || r.TaskID != id {
		t.Fatalf("got %+v, %v; want %s", r, err, id)
	}
}
