package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// TestOptionsWithPython changes every transport option that peers must agree on.
func TestOptionsWithPython(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	text, err := json.Marshal(map[string]any{
		"global_keyprefix": "shop:", "sep": "|", "priority_steps": []int{0, 2, 5}, "fanout_prefix": "/{db}/shop.",
		"fanout_patterns": false, "unacked_key": "u", "unacked_index_key": "u_index", "unacked_mutex_key": "u_mutex",
		"queue_order_strategy": "priority", "visibility_timeout": 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	url := testenv.Redis(t)
	b := open(t, redis.Config{
		URL: url, GlobalKeyPrefix: "shop:", Separator: "|", PrioritySteps: []int{0, 2, 5}, FanoutPrefix: "/{db}/shop.",
		NoFanoutPatterns: true, UnackedKey: "u", UnackedIndexKey: "u_index", UnackedMutexKey: "u_mutex",
		QueueOrder: redis.Priority, VisibilityTimeout: 2 * time.Second, Lease: testLease,
	})
	defer b.Close()
	events, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: "celeryev", Kind: broker.Topic, RoutingKey: "#", Queue: "celeryev.o", Expires: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	worker := testenv.StartCelery(t, testenv.Celery{
		Venv: python, App: "testdata/shared.py", Broker: url, Env: []string{"TRANSPORT_OPTIONS=" + string(text)},
		Args: []string{"-P", "solo", "-n", "py@o", "--without-mingle"}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := events.Next(ctx); err != nil {
		t.Errorf("no event from Python: %v", err)
	}
	sendPython(t, b, 60, "first") // keeps Python busy
	worker.WaitLine("start first", 20*time.Second)
	low, nine := pythonTask("shared.run", "low", 0), 9
	low.Properties.Priority = &nine
	if err := b.Publish(t.Context(), publishing("celery", low)); err != nil {
		t.Fatal(err)
	}
	if n, _ := redigo.Int(do(t, url, "LLEN", "shop:celery|5"), nil); n != 1 {
		t.Errorf("keys %q", texts(t, url, "KEYS", "*"))
	}
	worker.Kill()
	c := consumeCelery(t, b, 2)
	got := []string{nameOf(claimOne(t, c, 20*time.Second)), nameOf(claimOne(t, c, 20*time.Second))}
	slices.Sort(got)
	if !slices.Equal(got, []string{"first", "low"}) {
		t.Errorf("got %q, want what waited and what the dead worker held", got)
	}
}

// TestBindingsOutliveTheSweep has Python sweep binding tables while ours are
// fresh, and when the deadline of our replies has passed unnoticed.
func TestBindingsOutliveTheSweep(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	const tasks, replies = "_kombu.binding.tasks", "_kombu.binding." + protocol.ReplyExchange
	if err := b.Declare(t.Context(), broker.Queue{Name: "q", Exchange: "tasks"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: "oid", Queue: protocol.ReplyQueue("oid"), Expires: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	sweep := func() []string {
		t.Helper()
		if code := script(t, url, "sweep").Wait(30 * time.Second); code != 0 {
			t.Fatalf("the sweep ended with %d", code)
		}
		return slices.Sorted(slices.Values(texts(t, url, "KEYS", "_kombu.binding.*")))
	}
	if got, want := sweep(), []string{replies, tasks}; !slices.Equal(got, want) {
		t.Errorf("bindings after a sweep: %q, want %q", got, want)
	}
	do(t, url, "ZADD", "_kombu.binding_deadlines", 1, protocol.ReplyExchange, 1, "tasks")
	if got, want := sweep(), []string{tasks}; !slices.Equal(got, want) {
		t.Errorf("bindings after their deadlines: %q, want %q", got, want)
	}
	m := protocol.NewMessage(nil, []byte("{}"))
	if err := b.Publish(t.Context(), broker.Publishing{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Message: m}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, url, "SMEMBERS", replies); !slices.Equal(got, []string{"oid\x06\x16\x06\x16oid.reply.celery.pidbox"}) {
		t.Errorf("bindings after a request: %q", got)
	}
}

// TestDeadletterQueue catches what an exchange has no queue for.
func TestDeadletterQueue(t *testing.T) {
	t.Parallel()
	b := open(t, redis.Config{URL: testenv.Redis(t), DeadletterQueue: "lost"})
	defer b.Close()
	if err := b.Declare(t.Context(), broker.Queue{Name: "q", Exchange: "e", RoutingKey: "k"}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k", "other"} {
		m := protocol.NewMessage(protocol.Object{{Name: "id", Value: key}}, []byte("[]"))
		err := b.Publish(t.Context(), broker.Publishing{Exchange: "e", Kind: broker.Direct, RoutingKey: key, Message: m, Mandatory: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w", Queues: []broker.Queue{{Name: "lost"}}, Prefetch: 2})
	if err != nil {
		t.Fatal(err)
	}
	d := claimOne(t, c, time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if more, err := c.Claim(ctx, 1); idOf(d) != "other" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %s and %d more, %v", idOf(d), len(more), err)
	}
}
