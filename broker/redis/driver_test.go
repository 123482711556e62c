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
	redigo "github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func put(t *testing.T, b *redis.Broker, queue string, priority int, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m := protocol.NewMessage(protocol.Object{{Name: "id", Value: id}}, []byte("[]"))
		m.Properties.Priority = &priority
		if err := b.Publish(t.Context(), broker.Publishing{RoutingKey: queue, Message: m}); err != nil {
			t.Fatal(err)
		}
	}
}

func publishing(queue string, m *protocol.Message) broker.Publishing {
	return broker.Publishing{RoutingKey: queue, Message: m}
}

func idOf(d broker.Delivery) string { return d.Message().Headers.String("id") }

func claimAll(t *testing.T, c broker.Consumer, n int) []broker.Delivery {
	t.Helper()
	var out []broker.Delivery
	for len(out) < n {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		got, err := c.Claim(ctx, n-len(out))
		cancel()
		if err != nil {
			t.Fatalf("claim: %v", err)
		}
		out = append(out, got...)
	}
	return out
}

func texts(t *testing.T, url, command string, args ...any) []string {
	t.Helper()
	out, err := redigo.Strings(do(t, url, command, args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestClaimLayout holds to what kombu's restore reads.
func TestClaimLayout(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	put(t, b, "celery", 0, "a")
	envelope := texts(t, url, "LRANGE", "celery", 0, -1)[0]
	c := consumeCelery(t, b, 2)
	d := claimOne(t, c, time.Second)
	tags := texts(t, url, "HKEYS", "unacked")
	if len(tags) != 1 || !strings.HasPrefix(tags[0], "go@test:") {
		t.Fatalf("tags %v", tags)
	}
	if got, want := texts(t, url, "HVALS", "unacked")[0], "["+envelope+`, "", "celery"]`; got != want {
		t.Errorf("record %s, want %s", got, want)
	}
	for _, key := range []string{"unacked_index", "umbel:claims"} {
		score, err := redigo.Float64(do(t, url, "ZSCORE", key, tags[0]), nil)
		if age := float64(time.Now().UnixMicro())/1e6 - score; err != nil || age < -1 || age > 5 {
			t.Errorf("%s: score %f is %f s old, %v", key, score, age, err)
		}
	}
	want := []string{"celery\x06\x16\x06\x16celery"}
	for _, key := range []string{"_kombu.binding.celery", "_kombu.binding_permanent.celery"} {
		if got := texts(t, url, "SMEMBERS", key); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = []string{"_kombu.binding.celery", "_kombu.binding_permanent.celery"}
	if got := texts(t, url, "KEYS", "*"); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("keys left: %q, want %q", got, want)
	}
}

func TestReplySubscriptionKeys(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	sub, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: "oid", Queue: protocol.ReplyQueue("oid"), Expires: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	member := "oid\x06\x16\x06\x16oid.reply.celery.pidbox"
	if got := texts(t, url, "SMEMBERS", "_kombu.binding.reply.celery.pidbox"); !slices.Equal(got, []string{member}) {
		t.Errorf("bindings %q", got)
	}
	deadline, err := redigo.Float64(do(t, url, "ZSCORE", "_kombu.binding_deadlines", "reply.celery.pidbox"), nil)
	if ahead := deadline/1000 - float64(time.Now().Unix()); err != nil || ahead < 3500 || ahead > 3700 {
		t.Errorf("deadline %f s ahead, %v; want an hour", ahead, err)
	}
	if err := sub.Close(); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, url, "SMEMBERS", "_kombu.binding.reply.celery.pidbox"); len(got) != 0 {
		t.Errorf("bindings after close %q", got)
	}
	// A reader that is gone without a word: the list must not stay for ever.
	do(t, url, "SADD", "_kombu.binding.reply.celery.pidbox", member)
	err = b.Publish(t.Context(), broker.Publishing{Exchange: protocol.ReplyExchange, RoutingKey: "oid", Message: protocol.NewMessage(nil, []byte("{}"))})
	if err != nil {
		t.Fatal(err)
	}
	if ttl, _ := redigo.Int(do(t, url, "TTL", "oid.reply.celery.pidbox"), nil); ttl <= 0 || ttl > 60 {
		t.Errorf("reply list lives for %d s", ttl)
	}
}

// TestLiveClaimStays has a neighbour sweep while a claim is held for several
// leases, then takes the claim away.
func TestLiveClaimStays(t *testing.T) {
	t.Parallel()
	cfg := redis.Config{URL: testenv.Redis(t), Lease: 400 * time.Millisecond, VisibilityTimeout: 700 * time.Millisecond}
	first, second := open(t, cfg), open(t, cfg)
	defer first.Close()
	defer second.Close()
	put(t, first, "celery", 0, "a")
	held := claimOne(t, consumeCelery(t, first, 1), time.Second)
	neighbour := consumeCelery(t, second, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := neighbour.Claim(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("claim: %v, want the deadline", err)
	}
	select {
	case <-held.Lost():
		t.Fatal("the claim was lost")
	default:
	}
	do(t, cfg.URL, "DEL", "unacked")
	select {
	case <-held.Lost():
	case <-time.After(5 * time.Second):
		t.Fatal("the loss was not noticed")
	}
	if err := held.Ack(t.Context()); !errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("ack: %v, want ErrClaimLost", err)
	}
}

// TestOurKeysAreDisposable deletes every key of ours while a message is claimed
// and another is parked.
func TestOurKeysAreDisposable(t *testing.T) {
	t.Parallel()
	cfg := redis.Config{URL: testenv.Redis(t), Lease: testLease, VisibilityTimeout: time.Second}
	b := open(t, cfg)
	defer b.Close()
	put(t, b, "celery", 0, "held", "parked")
	c := consumeCelery(t, b, 3)
	ds := claimAll(t, c, 2)
	if err := ds[1].Park(t.Context(), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, key := range texts(t, cfg.URL, "KEYS", "umbel:*") {
		do(t, cfg.URL, "DEL", key)
	}
	if d := claimOne(t, c, 10*time.Second); idOf(d) != "parked" || !d.Redelivered() {
		t.Errorf("got %s, redelivered %v; want what was parked, by the visibility sweep", idOf(d), d.Redelivered())
	}
	if err := ds[0].Ack(t.Context()); err != nil {
		t.Errorf("ack: %v", err)
	}
}

func TestPromotion(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	put(t, b, `od"d/日`, 6, "a", "b", "c")
	put(t, b, "plain", 0, "d")
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w", Queues: []broker.Queue{{Name: `od"d/日`}, {Name: "plain"}}, Prefetch: 4})
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(700 * time.Millisecond)
	for i, d := range claimAll(t, c, 4) {
		if err := d.Park(t.Context(), until.Add(time.Duration(i)*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(t.Context()); err != nil { // a closed consumer promotes no more
		t.Fatal(err)
	}
	other, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w2", Queues: []broker.Queue{{Name: "unrelated"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	testenv.Eventually(t, 5*time.Second, func() error {
		if n, _ := redigo.Int(do(t, url, "LLEN", "od\"d/日\x06\x166"), nil); n != 3 {
			return fmt.Errorf("%d messages in the list of priority 6", n)
		}
		return nil
	})
	if late := time.Since(until); late < 0 || late > time.Second {
		t.Errorf("promoted %v after the time", late)
	}
	last, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w3", Queues: []broker.Queue{{Name: `od"d/日`}}, Prefetch: 4})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range claimAll(t, last, 3) {
		got = append(got, idOf(d))
		if d.Redelivered() {
			t.Errorf("%s is marked as redelivered", idOf(d))
		}
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("order %v, want the earliest first", got)
	}
	testenv.Eventually(t, 5*time.Second, func() error { // the last of all was due a moment later
		if n, _ := redigo.Int(do(t, url, "EXISTS", "umbel:delayed", "umbel:delayed:plain"), nil); n != 0 {
			return fmt.Errorf("%d keys of the delay store are left", n)
		}
		return nil
	})
}

// TestFairShare claims from a step's queues alike, and from a better step first.
func TestFairShare(t *testing.T) {
	t.Parallel()
	b := open(t, redis.Config{URL: testenv.Redis(t)})
	defer b.Close()
	var queues []broker.Queue
	for q := range 3 {
		name := fmt.Sprint("q", q)
		queues = append(queues, broker.Queue{Name: name})
		for range 20 {
			put(t, b, name, 3, name)
		}
	}
	put(t, b, "q2", 0, "first")
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w", Queues: queues, Prefetch: 100})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	ds, err := c.Claim(t.Context(), 10)
	if err != nil || len(ds) != 10 || idOf(ds[0]) != "first" {
		t.Fatalf("claimed %d, %v", len(ds), err)
	}
	for _, d := range ds[1:] {
		counts[d.Queue()]++
	}
	if counts["q0"] != 3 || counts["q1"] != 3 || counts["q2"] != 3 {
		t.Errorf("shares %v", counts)
	}
	if rest := claimAll(t, c, 51); len(rest) != 51 {
		t.Errorf("%d left", len(rest))
	}
}

// TestManyQueues has more lists than connections to wait on.
func TestManyQueues(t *testing.T) {
	t.Parallel()
	b := open(t, redis.Config{URL: testenv.Redis(t)})
	defer b.Close()
	var queues []broker.Queue
	for q := range 12 {
		queues = append(queues, broker.Queue{Name: fmt.Sprint("q", q)})
	}
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w", Queues: queues})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		nine := 9
		m := protocol.NewMessage(protocol.Object{{Name: "id", Value: "a"}}, []byte("[]"))
		m.Properties.Priority = &nine
		if err := b.Publish(t.Context(), broker.Publishing{RoutingKey: "q11", Message: m}); err != nil {
			t.Error(err)
		}
	})
	start := time.Now()
	if d := claimOne(t, c, 5*time.Second); idOf(d) != "a" || time.Since(start) > 2*time.Second {
		t.Errorf("got %s after %v", idOf(d), time.Since(start))
	}
}

// TestServerRestart keeps one consumer over an outage.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	b := open(t, redis.Config{URL: "redis://" + s.Addr(), Lease: testLease})
	defer b.Close()
	put(t, b, "celery", 0, "a", "b")
	c := consumeCelery(t, b, 2)
	held := claimOne(t, c, time.Second)
	sub, err := b.Subscribe(t.Context(), broker.SubscribeOptions{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Queue: "n.celery.pidbox"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := sub.Next(t.Context()); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("next: %v, want ErrConnection", err)
	}
	if _, err := c.Claim(t.Context(), 1); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("claim: %v, want ErrConnection", err)
	}
	if err := held.Ack(t.Context()); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("ack: %v, want ErrConnection", err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := held.Ack(t.Context()); err != nil {
		t.Errorf("ack after the restart: %v", err)
	}
	if d := claimOne(t, c, 5*time.Second); idOf(d) != "b" {
		t.Errorf("got %s, want b", idOf(d))
	}
}

func TestUnreachable(t *testing.T) {
	b := open(t, redis.Config{URL: "redis://:secret@127.0.0.1:1/0"})
	defer b.Close()
	_, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w", Queues: []broker.Queue{{Name: "q"}}})
	if !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), "cannot reach Redis at 127.0.0.1:1 (is it running") ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("consume: %v", err)
	}
}

func TestNoGoroutinesLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := miniredis.NewMiniRedis()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	b := open(t, redis.Config{URL: "redis://" + s.Addr()})
	put(t, b, "celery", 0, "a", "b")
	c := consumeCelery(t, b, 2)
	claimOne(t, c, time.Second)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = consumeCelery(t, b, 2)
	claimOne(t, c, time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Claim(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := b.Subscribe(t.Context(), broker.SubscribeOptions{Exchange: "celeryev", Queue: "celeryev.x", Expires: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	goleak.VerifyNone(t, before)
}
