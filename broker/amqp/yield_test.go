package amqp

import (
	"fmt"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
)

var bothTypes = map[string]map[string]any{
	"classic": nil,
	"quorum":  {argQueueType: quorumQueue},
}

func consumeTyped(t *testing.T, b *Broker, prefetch int, q string, args map[string]any) *consumer {
	t.Helper()
	c, err := b.Consume(within(t, patience), broker.ConsumeOptions{
		Queues: []broker.Queue{{Name: q, Args: args}}, Prefetch: prefetch,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*consumer)
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	return ids
}

// claimUntil acknowledges what comes until want different messages were seen.
func claimUntil(t *testing.T, c broker.Consumer, seen map[string]int, want int) {
	t.Helper()
	for len(seen) < want {
		d := claimOne(t, c)
		seen[body(d)]++
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSetPrefetch(t *testing.T) {
	t.Parallel()
	for name, args := range bothTypes {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, testenv.AMQP(t))
			c := consumeTyped(t, b, 2, "q", args)
			send(t, b, "q", numbered(20)...)
			held, err := c.Claim(within(t, patience), 2)
			if err != nil {
				t.Fatal(err)
			}
			for len(held) < 2 {
				held = append(held, claimOne(t, c))
			}
			c.SetPrefetch(8)
			for len(held) < 8 {
				held = append(held, claimOne(t, c))
			}
			if _, err := c.Claim(within(t, 100*time.Millisecond), 1); err == nil {
				t.Error("claimed more than the prefetch")
			}
			c.SetPrefetch(3)
			seen := map[string]int{}
			for _, d := range held {
				seen[body(d)]++
				if err := d.Ack(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			// It keeps what it has up to the new prefetch, and takes as many more.
			first := claimOne(t, c)
			testenv.Eventually(t, patience, func() error {
				if n := ready(t, b, "q"); n < 20-8-2*3 {
					return fmt.Errorf("%d ready", n)
				}
				return nil
			})
			seen[body(first)]++
			if err := first.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
			claimUntil(t, c, seen, 20)
			for id, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", id, n)
				}
			}
			eventuallyReady(t, b, "q", 0)
		})
	}
}

func TestYield(t *testing.T) {
	t.Parallel()
	for name, args := range bothTypes {
		t.Run(name, func(t *testing.T) {
			url := testenv.AMQP(t)
			b, other := newBroker(t, url), newBroker(t, url)
			c := consumeTyped(t, b, 4, "q", args)
			send(t, b, "q", numbered(8)...)
			claimed := claimOne(t, c)
			const rest = 700 * time.Millisecond
			began := time.Now()
			if err := c.Yield(within(t, patience), rest); err != nil {
				t.Fatal(err)
			}
			if err := claimed.Return(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			claimUntil(t, consumeTyped(t, other, 4, "q", nil), seen, 8)
			for id, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", id, n)
				}
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			send(t, b, "q", "after")
			if d := claimOne(t, c); body(d) != "after" || time.Since(began) < rest {
				t.Errorf("got %s after %v", body(d), time.Since(began))
			}
		})
	}
}

// TestYieldKeepsWhatIsClaimed settles, parks and loses claims during a Yield.
func TestYieldKeepsWhatIsClaimed(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := consumeTyped(t, b, 2, "q", nil)
	send(t, b, "q", "a", "b")
	first, second := claimOne(t, c), claimOne(t, c)
	for range 2 {
		if err := c.Yield(within(t, patience), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Park(t.Context(), time.Now().Add(50*time.Millisecond)); err != nil {
		t.Error(err)
	}
	if d := claimOne(t, c); body(d) != "b" {
		t.Errorf("got %s, want what was held", body(d))
	}
	send(t, b, "q", "c")
	if _, err := c.Claim(within(t, 100*time.Millisecond), 1); err == nil {
		t.Error("claimed during a Yield")
	}
	if err := c.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
}

// TestReturnBeyondTheDeliveryLimit returns a message more often than its quorum
// queue allows.
func TestReturnBeyondTheDeliveryLimit(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := consumeTyped(t, b, 1, "q", map[string]any{argQueueType: quorumQueue, "x-delivery-limit": 8})
	send(t, b, "q", "a")
	for i := range 20 {
		d := claimOne(t, c)
		if body(d) != "a" || i == 1 && !d.Redelivered() {
			t.Fatalf("round %d: got %s, redelivered %v", i, body(d), d.Redelivered())
		}
		if err := d.Return(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := claimOne(t, c).Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventuallyReady(t, b, "q", 0)
}
