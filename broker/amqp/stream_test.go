package amqp

import (
	"context"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
)

// ended is a context whose time is up.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// rounds is how often something is tried that depends on who is first.
const rounds = 10

// TestYieldCutShort has a Yield end before RabbitMQ has sent what was on the way:
// messages come again afterwards.
func TestYieldCutShort(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := consumeTyped(t, b, 1, "q", nil)
	for range rounds {
		_ = c.Yield(ended(t), 0) // an error says only that it was cut short
		send(t, b, "q", "a")
		if err := claimOne(t, c).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCloseCutShort has a consumer give back what it holds although it cannot
// wait for the rest.
func TestCloseCutShort(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	b, other := newBroker(t, url), newBroker(t, url)
	for range rounds {
		c := newConsumer(t, b, 1, "q")
		send(t, other, "q", "a")
		eventuallyReady(t, other, "q", 0)
		_ = c.Close(ended(t)) // an error says only that it was cut short
		taker := newConsumer(t, other, 1, "q")
		if err := claimOne(t, taker).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := taker.Close(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUntilText(t *testing.T) {
	for _, until := range []time.Time{
		time.UnixMilli(1_700_000_000_123), time.UnixMilli(0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		for _, short := range []time.Duration{0, 1, time.Millisecond - 1} {
			got, ok := parkedUntil(map[string]any{headerUntil: untilText(until.Add(-short))})
			if !ok || !got.Equal(until) {
				t.Errorf("%v less %v is read as %v", until, short, got)
			}
		}
	}
}
