package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
)

func (s suite) prefetch(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a", "b", "c")
	c := consume(t, b, 2, q)
	held := claim(t, c, 2, wait)
	none(t, c)
	ack(t, held[0])
	d := claim(t, c, 1, wait)[0]
	if id(d) != "c" {
		t.Errorf("got %s, want c", id(d))
	}
	ack(t, held[1], d)
}

func (s suite) priority(t *testing.T) {
	if s.NoPriority {
		t.Skip("the driver's queues have no priorities")
	}
	b, q := s.broker(t), broker.Queue{Name: unique("q"), Args: map[string]any{"x-max-priority": int32(10)}}.WithDefaults()
	if err := b.Declare(within(t, wait), q); err != nil {
		t.Fatal(err)
	}
	want := []int{0, 3, 6, 9}
	for _, p := range []int{6, 0, 9, 3} {
		m := task(fmt.Sprint(p))
		m.Properties.Priority = &p
		if err := b.Publish(within(t, wait), broker.Publishing{RoutingKey: q.Name, Message: m}); err != nil {
			t.Fatal(err)
		}
	}
	if s.HighFirst {
		slices.Reverse(want)
	}
	c, err := b.Consume(within(t, wait), broker.ConsumeOptions{Worker: "w@h", Queues: []broker.Queue{q}, Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range want {
		d := claim(t, c, 1, wait)[0]
		if id(d) != fmt.Sprint(p) {
			t.Errorf("got priority %s, want %d", id(d), p)
		}
		ack(t, d)
	}
}

// sharedQueue has several consumers empty a queue while it is being filled;
// some of what they claim they give back.
func (s suite) sharedQueue(t *testing.T) {
	const consumers = 4
	producer, q := s.broker(t), unique("q")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range consumers {
		c := consume(t, s.broker(t), 32, q)
		wg.Go(func() {
			drain(t, ctx, c, func(id string) {
				mu.Lock()
				defer mu.Unlock()
				if seen[id]++; len(seen) == s.Volume {
					stop()
				}
			})
		})
	}
	for at := 0; at < s.Volume; at += 100 {
		var ids []string
		for i := at; i < min(at+100, s.Volume); i++ {
			ids = append(ids, fmt.Sprint(i))
		}
		publish(t, producer, q, ids...)
	}
	wg.Wait()
	if len(seen) != s.Volume {
		t.Errorf("%d messages arrived, want %d", len(seen), s.Volume)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("message %s acknowledged %d times", id, n)
		}
	}
	none(t, consume(t, producer, 10, q))
}

// drain acknowledges what it claims until ctx ends; every 50th message it sees
// for the first time it gives back.
func drain(t *testing.T, ctx context.Context, c broker.Consumer, done func(id string)) {
	n := 0
	for {
		got, err := c.Claim(ctx, 16)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("claim: %v", err)
			}
			return
		}
		for _, d := range got {
			if n++; n%50 == 0 && !d.Redelivered() {
				if err := d.Return(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("return: %v", err)
				}
				continue
			}
			if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("ack: %v", err)
			}
			done(id(d))
		}
	}
}

func (s suite) claimEndsWithContext(t *testing.T) {
	b, q := s.broker(t), unique("q")
	c := consume(t, b, 1, q)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	if _, err := c.Claim(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("claim: %v, want context.Canceled", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("claim ended %v after it began, want at once", took)
	}
	publish(t, b, q, "a")
	ack(t, claim(t, c, 1, wait)...)
}

func (s suite) claimWakes(t *testing.T) {
	b, q := s.broker(t), unique("q")
	c := consume(t, b, 1, q)
	none(t, c)
	publish(t, b, q, "a")
	ack(t, claim(t, c, 1, wait)...)
	var publishing sync.WaitGroup
	defer publishing.Wait()
	start := time.Now()
	publishing.Go(func() {
		time.Sleep(300 * time.Millisecond)
		publish(t, b, q, "b")
	})
	ack(t, claim(t, c, 1, wait)...)
	if took := time.Since(start); took > 1500*time.Millisecond {
		t.Errorf("a waiting claim woke after %v", took)
	}
}

func (s suite) closeGivesBack(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a", "b", "c")
	c := consume(t, b, 3, q)
	held := claim(t, c, 1, wait)[0]
	if err := c.Close(within(t, wait)); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := c.Claim(within(t, wait), 1); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("claim after close: %v, want ErrClosed", err)
	}
	next := consume(t, b, 3, q)
	for _, d := range claim(t, next, 2, wait) {
		if id(d) == id(held) {
			t.Errorf("%s is held and was handed out again", id(d))
		}
		ack(t, d)
	}
	ack(t, held)
	none(t, next)
}

func (s suite) brokerCloseEndsClaim(t *testing.T) {
	b := s.open(t)
	c := consume(t, b, 1, unique("q"))
	time.AfterFunc(200*time.Millisecond, func() { b.Close() })
	if _, err := c.Claim(within(t, wait), 1); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("claim: %v, want ErrClosed", err)
	}
	if err := b.Publish(within(t, wait), broker.Publishing{RoutingKey: "q", Message: task("a")}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("publish after close: %v, want ErrClosed", err)
	}
}

func (s suite) addAndCancelQueue(t *testing.T) {
	b, q1, q2 := s.broker(t), unique("q"), unique("q")
	c := consume(t, b, 4, q1)
	if err := c.AddQueue(within(t, wait), broker.Queue{Name: q2}.WithDefaults()); err != nil {
		t.Fatal(err)
	}
	publish(t, b, q2, "a")
	ack(t, claim(t, c, 1, wait)...)
	if err := c.CancelQueue(within(t, wait), q2); err != nil {
		t.Fatal(err)
	}
	if qs := c.Queues(); len(qs) != 1 || qs[0].Name != q1 {
		t.Errorf("consumes %v, want %s alone", qs, q1)
	}
	publish(t, b, q2, "b")
	none(t, c)
	publish(t, b, q1, "c")
	ack(t, claim(t, c, 1, wait)...)
}

func (s suite) malformed(t *testing.T) {
	if s.PushRaw == nil {
		t.Skip("the transport's framing allows no malformed element")
	}
	b, q := s.broker(t), unique("q")
	for _, raw := range []string{"not json", `{"body": `, "{not json}", "[1, 2]", "123", "\x00\xff\xfe", `{"a": 1}`, " {} "} {
		t.Run(raw, func(t *testing.T) {
			s.PushRaw(t, q, []byte(raw))
			c := consume(t, b, 1, q)
			for _, settle := range []func(broker.Delivery) error{
				func(d broker.Delivery) error { return d.Return(within(t, wait)) },
				func(d broker.Delivery) error { return d.Park(within(t, wait), time.Now()) },
				func(d broker.Delivery) error { return d.Dead(within(t, wait), "malformed") },
			} {
				d := claim(t, c, 1, wait)[0]
				if d.Message().Malformed == "" || string(d.Message().Body) != raw {
					t.Fatalf("got %q, malformed %q; want the element as it was, malformed", d.Message().Body, d.Message().Malformed)
				}
				if err := settle(d); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Close(within(t, wait)); err != nil {
				t.Fatal(err)
			}
		})
	}
	publish(t, b, q, "good")
	ack(t, claim(t, consume(t, b, 1, q), 1, wait)...)
}
