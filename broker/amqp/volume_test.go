package amqp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
)

// TestQuorumQueueShared sends messages through a quorum queue with two consumers
// of one process and a competing one, which yield, change their prefetch, give
// messages back and park them: each message is acknowledged once.
func TestQuorumQueueShared(t *testing.T) {
	t.Parallel()
	count := 2000
	if os.Getenv("UMBEL_TEST_FULL") != "" {
		count = 10_000
	}
	url := testenv.AMQP(t)
	here, there := newBroker(t, url), newBroker(t, url)
	args := bothTypes["quorum"]
	consumers := []*consumer{
		consumeTyped(t, here, 20, "q", args), consumeTyped(t, here, 1, "q", args), consumeTyped(t, there, 50, "q", args),
	}
	ledger := &acked{want: count, times: map[string]int{}, all: make(chan struct{})}
	ctx := within(t, 3*time.Minute)
	var working sync.WaitGroup
	stop, stopped := context.WithCancel(ctx)
	for i, c := range consumers {
		working.Go(func() { ledger.work(t, stop, c, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	send(t, here, "q", numbered(count)...)
	select {
	case <-ledger.all:
	case <-ctx.Done():
	}
	stopped()
	working.Wait()
	if len(ledger.times) != count {
		t.Errorf("%d of %d were acknowledged", len(ledger.times), count)
	}
	for id, n := range ledger.times {
		if n != 1 {
			t.Errorf("%s was acknowledged %d times", id, n)
		}
	}
	for _, c := range consumers {
		if err := c.Close(within(t, patience)); err != nil {
			t.Error(err)
		}
	}
	eventuallyReady(t, here, "q", 0)
}

// acked counts acknowledgements.
type acked struct {
	want int
	all  chan struct{}

	mu    sync.Mutex
	times map[string]int
}

func (a *acked) note(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times[id]++; a.times[id] == 1 && len(a.times) == a.want {
		close(a.all)
	}
}

// work settles what it claims, mostly with an acknowledgement.
func (a *acked) work(t *testing.T, ctx context.Context, c *consumer, random *rand.Rand) {
	for n := 1; ; n++ {
		ds, err := c.Claim(ctx, 10)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Errorf("claim: %v", err)
			return
		}
		for _, d := range ds {
			if err := a.settle(ctx, d, random.IntN(100)); err != nil {
				t.Errorf("settle %s: %v", body(d), err)
			}
		}
		switch {
		case n%97 == 0:
			c.SetPrefetch(1 + random.IntN(40))
		case n%101 == 0:
			if err := c.Yield(ctx, time.Millisecond); err != nil && ctx.Err() == nil {
				t.Errorf("yield: %v", err)
			}
		}
	}
}

func (a *acked) settle(ctx context.Context, d broker.Delivery, chance int) error {
	switch {
	case chance < 3:
		return d.Return(ctx)
	case chance < 5:
		return d.Reject(ctx, true)
	case chance < 7:
		return d.Park(ctx, time.Now().Add(1100*time.Millisecond))
	}
	err := d.Ack(ctx)
	if err == nil {
		a.note(body(d))
	}
	return err
}

// TestDelayedFigure counts what is parked.
func TestDelayedFigure(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := newConsumer(t, b, 3, "q")
	send(t, b, "q", "a", "b", "c")
	for _, d := range []time.Duration{time.Minute, 2 * time.Hour, time.Minute} {
		if err := claimOne(t, c).Park(t.Context(), time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, patience, func() error {
		infos, err := b.Queues(t.Context(), "q", "other")
		if err == nil && (infos[0].Delayed != 3 || infos[0].Messages != 0 || infos[1].Delayed != 0) {
			err = fmt.Errorf("figures %+v", infos)
		}
		return err
	})
}
