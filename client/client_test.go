package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	backends "github.com/umbel-go/umbel/backend/dial"
	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func open(t testing.TB, url string) *client.Client {
	t.Helper()
	b, err := brokers.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	r, err := backends.Open(url, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return client.New(client.Config{Broker: b, Backend: r})
}

// claim takes the next message and decodes it.
func claim(t *testing.T, ctx context.Context, c *client.Client, queue string) *protocol.Task {
	t.Helper()
	consumer, err := c.Broker().Consume(ctx, broker.ConsumeOptions{Worker: "test", Queues: []broker.Queue{{Name: queue}}})
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close(ctx)
	ds, err := consumer.Claim(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	task, err := protocol.DecodeTask(ds[0].Message())
	if err != nil {
		t.Fatal(err)
	}
	if err := ds[0].Ack(ctx); err != nil {
		t.Fatal(err)
	}
	return task
}

func TestSendOptions(t *testing.T) {
	c := open(t, testenv.Redis(t))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	eta := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	res, err := c.Send(ctx, client.Task("shop.total", 1.0), client.Kwarg("n", 2), client.Queue("q"), client.ID("my-id"),
		client.ETA(eta), client.Priority(3), client.TimeLimit(time.Second, 2*time.Second), client.IgnoreResult(),
		client.Header("traceparent", "00-x"), client.Link(client.Task("after")))
	if err != nil {
		t.Fatal(err)
	}
	got := claim(t, ctx, c, "q")
	if res.ID != "my-id" || got.ID != "my-id" || got.Name != "shop.total" || !got.ETA.Equal(eta) || *got.Priority != 3 {
		t.Errorf("got %+v", got)
	}
	if got.ArgsRepr != "(1.0,)" || got.KwargsRepr != "{'n': 2}" || got.SoftLimit != 1 || got.HardLimit != 2 || !*got.IgnoreResult {
		t.Errorf("got %+v", got)
	}
	if got.Headers.String("traceparent") != "00-x" || len(got.Callbacks) != 1 || got.Callbacks[0].Task != "after" {
		t.Errorf("headers %v, callbacks %v", got.Headers, got.Callbacks)
	}
}

func TestPublishMany(t *testing.T) {
	c := open(t, testenv.Redis(t))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var sigs []protocol.Signature
	for i := range 1000 {
		sigs = append(sigs, client.Task("t", i))
	}
	if _, err := c.SendAll(ctx, sigs...); err != nil {
		t.Fatal(err)
	}
	queues, err := c.Broker().Queues(ctx, client.DefaultQueue)
	if err != nil || queues[0].Ready != 1000 {
		t.Errorf("%+v, %v", queues, err)
	}
}

// A group without members has the empty list as its result, at once and without
// a broker.
func TestEmptyGroup(t *testing.T) {
	c := open(t, fmt.Sprintf("redis://127.0.0.1:%d/0", testenv.FreePort(t)))
	res, err := c.Send(context.Background(), client.Group())
	if err != nil {
		t.Fatal(err)
	}
	got := []int{1}
	if err := res.Get(context.Background(), &got); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	ctx := context.Background()
	away := open(t, fmt.Sprintf("redis://127.0.0.1:%d/0", testenv.FreePort(t)))
	if _, err := away.Send(ctx, client.Task("t")); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("no broker: %v", err)
	}
	if _, err := away.Send(ctx, client.Task("t", make(chan int))); err == nil {
		t.Error("an argument that JSON cannot hold was sent")
	}
	if _, err := away.Send(ctx, client.Chain()); err == nil {
		t.Error("an empty chain was sent")
	}
	b, err := brokers.Open(fmt.Sprintf("redis://127.0.0.1:%d/0", testenv.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	bare := client.New(client.Config{Broker: b})
	if err := bare.Result("id").Get(ctx, nil); !errors.Is(err, client.ErrNoBackend) {
		t.Errorf("no backend: %v", err)
	}
	if _, err := bare.Send(ctx, client.Chord([]protocol.Signature{client.Task("a")}, client.Task("b"))); err == nil {
		t.Error("a chord was sent without a backend")
	}
}

func TestInspectNobody(t *testing.T) {
	c := open(t, testenv.Redis(t))
	replies, err := c.Inspect(context.Background(), "ping", nil, client.ControlOptions{Timeout: 50 * time.Millisecond})
	if err != nil || len(replies) != 0 {
		t.Errorf("%v, %v", replies, err)
	}
}

func TestClock(t *testing.T) {
	var c client.Clock
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 100 {
				c.Forward()
			}
		})
	}
	wg.Wait()
	c.Adjust(5000)
	c.Adjust(10)
	if got := c.Value(); got != 5002 {
		t.Errorf("clock is %d, want 5002", got)
	}
}
