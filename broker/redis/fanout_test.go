package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func broadcast(t *testing.T, b *redis.Broker, exchange, routingKey, id string) {
	t.Helper()
	m := protocol.NewMessage(protocol.Object{{Name: "id", Value: id}}, []byte("[]"))
	if err := b.Publish(t.Context(), broker.Publishing{Exchange: exchange, Kind: broker.Fanout, RoutingKey: routingKey, Message: m}); err != nil {
		t.Fatal(err)
	}
}

// TestBroadcastQueues gives every consumer of a fanout exchange its own copy,
// which is then a message like any other.
func TestBroadcastQueues(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]redis.Config{
		"redis":       {URL: testenv.Redis(t)},
		"miniredis":   {URL: "redis://" + miniredis.RunT(t).Addr()},
		"no patterns": {URL: testenv.Redis(t), NoFanoutPatterns: true, GlobalKeyPrefix: "p:", FanoutPrefix: "/{db}/shop."},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, cfg)
			defer b.Close()
			var consumers []broker.Consumer
			for _, q := range []string{"bcast.1", "bcast.2"} {
				c, err := b.Consume(t.Context(), broker.ConsumeOptions{
					Worker: "w", Queues: []broker.Queue{{Name: q, Exchange: "news", Kind: broker.Fanout}}, Prefetch: 2})
				if err != nil {
					t.Fatal(err)
				}
				consumers = append(consumers, c)
			}
			broadcast(t, b, "news", "celery", "a")
			broadcast(t, b, "news", "", "b")
			for i, c := range consumers {
				ds := claimAll(t, c, 2)
				if idOf(ds[0]) != "a" || idOf(ds[1]) != "b" || ds[0].Queue() != fmt.Sprint("bcast.", i+1) || ds[0].Redelivered() ||
					ds[0].Message().Properties.Exchange != "news" || ds[0].Message().Properties.RoutingKey != "celery" {
					t.Errorf("consumer %d got %s, %s", i, idOf(ds[0]), idOf(ds[1]))
				}
				if err := ds[0].Return(t.Context()); err != nil {
					t.Error(err)
				}
				if d := claimOne(t, c, 5*time.Second); idOf(d) != "a" || !d.Redelivered() || d.Ack(t.Context()) != nil {
					t.Errorf("consumer %d got %s again", i, idOf(d))
				}
				if err := ds[1].Ack(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := consumers[0].CancelQueue(t.Context(), "bcast.1"); err != nil {
				t.Fatal(err)
			}
			if err := consumers[1].Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, 5*time.Second, func() error { // the bindings go with their consumers
				if left := texts(t, cfg.URL, "KEYS", "*_kombu.binding.*"); len(left) != 0 {
					return fmt.Errorf("keys left: %q", left)
				}
				return nil
			})
			if err := consumers[0].AddQueue(t.Context(), broker.Queue{Name: "bcast.3", Exchange: "news", Kind: broker.Fanout, RoutingKey: "eu"}); err != nil {
				t.Fatal(err)
			}
			broadcast(t, b, "news", "eu", "c")
			if d := claimOne(t, consumers[0], 5*time.Second); idOf(d) != "c" || d.Queue() != "bcast.3" {
				t.Errorf("got %s from %s", idOf(d), d.Queue())
			}
		})
	}
}

// TestSharedBroadcastQueue has two consumers of one fanout queue: they share what
// it receives, and the end of one takes nothing from the other.
func TestSharedBroadcastQueue(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	var consumers []broker.Consumer
	for i := range 2 {
		c, err := b.Consume(t.Context(), broker.ConsumeOptions{
			Worker: fmt.Sprint("w", i), Queues: []broker.Queue{{Name: "bcast", Exchange: "news", Kind: broker.Fanout}}, Prefetch: 4})
		if err != nil {
			t.Fatal(err)
		}
		consumers = append(consumers, c)
	}
	for _, id := range []string{"a", "b", "c"} {
		broadcast(t, b, "news", "celery", id)
	}
	testenv.Eventually(t, 5*time.Second, func() error { // both heard all: the last mark is there
		if marks := texts(t, url, "KEYS", "umbel:poured:bcast:*"); len(marks) != 3 {
			return fmt.Errorf("poured %q", marks)
		}
		return nil
	})
	held := claimOne(t, consumers[0], 5*time.Second)
	if err := consumers[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := held.Return(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "c"} {
		if d := claimOne(t, consumers[1], 5*time.Second); idOf(d) != want || d.Ack(t.Context()) != nil {
			t.Errorf("got %s, want %s", idOf(d), want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if ds, err := consumers[1].Claim(ctx, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("claimed %d more, %v: a message came twice", len(ds), err)
	}
}

// TestExchangesWithPython publishes to named exchanges in both directions, by the
// tables that either side wrote.
func TestExchangesWithPython(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	worker := testenv.StartCelery(t, testenv.Celery{
		Venv: python, App: "testdata/exchanges.py", Broker: url, Args: []string{"-P", "solo", "-n", "py@x", "--without-mingle"}})
	// A worker that says it is ready subscribes a moment later.
	testenv.Eventually(t, 20*time.Second, func() error {
		m := pythonTask("exchanges.run", "warm", 0)
		if err := b.Publish(t.Context(), broker.Publishing{Exchange: "news", Kind: broker.Fanout, RoutingKey: "celery", Message: m}); err != nil {
			return err
		}
		if !strings.Contains(worker.Output(), "start warm") {
			return errors.New("Python hears no broadcast")
		}
		return nil
	})
	queues := []broker.Queue{
		{Name: "go.direct", Exchange: "shop", Kind: broker.Direct, RoutingKey: "paid"},
		{Name: "go.topic", Exchange: "orders", Kind: broker.Topic, RoutingKey: "eu.*.paid-€"},
		{Name: "go.news", Exchange: "news", Kind: broker.Fanout, RoutingKey: "celery"},
	}
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "go@x", Queues: queues, Prefetch: 10})
	if err != nil {
		t.Fatal(err)
	}
	sends := []broker.Publishing{
		{Exchange: "shop", Kind: broker.Direct, RoutingKey: "paid"},
		{Exchange: "orders", Kind: broker.Topic, RoutingKey: "eu.berlin.paid-€"},
		{Exchange: "orders", Kind: broker.Topic, RoutingKey: "eu.a.b.paid-€"}, // "#" takes it, "*" does not
		{Exchange: "news", Kind: broker.Fanout, RoutingKey: "celery"},
	}
	wantGo := []string{"shop paid", "orders eu.berlin.paid-€", "news celery"}
	both := func(from string) {
		t.Helper()
		var got []string
		for range wantGo {
			d := claimOne(t, c, 20*time.Second)
			got = append(got, nameOf(d))
			if err := d.Ack(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
		want := make([]string, len(wantGo))
		for i, w := range wantGo {
			want[i] = from + " " + w
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("Go got %q, want %q", got, want)
		}
		for _, p := range sends {
			worker.WaitLine(fmt.Sprintf("start %s %s %s", from, p.Exchange, p.RoutingKey), 20*time.Second)
		}
	}
	for _, p := range sends {
		p.Message = pythonTask("exchanges.run", fmt.Sprintf("go %s %s", p.Exchange, p.RoutingKey), 0)
		if err := b.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	both("go")
	cmd := testenv.PythonCommand(t, python, "testdata/exchanges.py")
	cmd.Env = append(cmd.Env, "CELERY_BROKER_URL="+url)
	for _, p := range sends {
		cmd.Args = append(cmd.Args, p.Exchange+" "+p.RoutingKey)
	}
	testenv.Start(t, cmd)
	both("py")
}
