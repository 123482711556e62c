package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/umbel-go/umbel/broker"
)

// maxClaim bounds one claim, and so the time that its script keeps Redis from
// others.
const maxClaim = 512

// consumer is a broker.Consumer. Its goroutines are the settler, which lives
// until the last delivery is settled, and those that end with Close: waiters,
// promoter and sweeper.
type consumer struct {
	b   *Broker
	tag string // prefix of its claims' tags: "<worker>:<process>.<n>."

	// open ends with Close, ctx with the last delivery or with the broker.
	open      context.Context
	closeOpen context.CancelFunc
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup // what ends with open

	ops     chan *operation
	wake    chan struct{} // something may be claimable
	freed   chan struct{} // an unsettled delivery less
	reparks chan struct{} // something was parked

	claiming sync.Mutex // one claim script at a time
	turn     int        // round robin, guarded by claiming
	number   uint64     // of the next claim, guarded by claiming

	mu       sync.Mutex
	prefetch int
	queues   []broker.Queue
	waiters  map[string]*waiter
	feeders  map[string]context.CancelFunc // of fanout queues, by name
	inflight map[string]*delivery
}

// Consume declares the queues and starts a consumer. The node name marks its
// claims, which carry "<worker>:<process>.<n>.<number>" as their tags.
func (b *Broker) Consume(ctx context.Context, opts broker.ConsumeOptions) (broker.Consumer, error) {
	c := &consumer{
		b:        b,
		tag:      fmt.Sprintf("%s:%s.%d.", tagSafe.Replace(opts.Worker), b.boot, b.seq.Add(1)),
		ops:      make(chan *operation, 64),
		wake:     make(chan struct{}, 1),
		freed:    make(chan struct{}, 1),
		reparks:  make(chan struct{}, 1),
		prefetch: max(opts.Prefetch, 1),
		waiters:  map[string]*waiter{},
		feeders:  map[string]context.CancelFunc{},
		inflight: map[string]*delivery{},
	}
	c.ctx, c.cancel = context.WithCancel(b.ctx)
	c.open, c.closeOpen = context.WithCancel(c.ctx)
	if err := c.bind(ctx, opts.Queues...); err != nil {
		c.cancel()
		return nil, err
	}
	for _, q := range opts.Queues {
		if err := c.add(ctx, q); err != nil {
			c.cancel()
			c.wg.Wait()
			return nil, err
		}
	}
	b.wg.Go(c.settleLoop)
	c.wg.Go(c.promoteLoop)
	c.wg.Go(c.sweepLoop)
	c.wg.Go(func() {
		<-c.open.Done()
		c.mu.Lock() // whoever starts waiters holds it
		defer c.mu.Unlock()
	})
	b.wg.Go(func() { <-c.open.Done(); c.wg.Wait() })
	return c, nil
}

// tagSafe keeps tags free of what JSON would escape.
var tagSafe = strings.NewReplacer(`"`, "_", `\`, "_")

// Claim takes messages in the order of their priority steps, within a step from
// all queues alike.
func (c *consumer) Claim(ctx context.Context, max int) ([]broker.Delivery, error) {
	for {
		if c.open.Err() != nil {
			return nil, fmt.Errorf("claim: %w", broker.ErrClosed)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("claim: %w", ctx.Err())
		}
		if n := min(max, c.room(), maxClaim); n > 0 {
			got, err := c.claim(ctx, n)
			if err != nil || len(got) > 0 {
				return got, err
			}
			c.await(ctx, c.arm())
			continue
		}
		c.awaitRoom(ctx)
	}
}

// room is how many deliveries more the prefetch allows.
func (c *consumer) room() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.prefetch - len(c.inflight)
}

func (c *consumer) awaitRoom(ctx context.Context) {
	select {
	case <-c.freed:
	case <-ctx.Done():
	case <-c.open.Done():
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// AddQueue declares the queue and consumes it too.
func (c *consumer) AddQueue(ctx context.Context, q broker.Queue) error {
	if c.open.Err() != nil {
		return fmt.Errorf("add queue %s: %w", q.Name, broker.ErrClosed)
	}
	if err := c.bind(ctx, q); err != nil {
		return err
	}
	if err := c.add(ctx, q); err != nil {
		return err
	}
	signal(c.wake)
	return nil
}

// bind declares queues; those of fanout exchanges are bound by their
// subscriptions.
func (c *consumer) bind(ctx context.Context, queues ...broker.Queue) error {
	var rows []binding
	for _, q := range queues {
		if !isFanout(q.Exchange, q.Kind) {
			rows = append(rows, rowOf(q))
		}
	}
	return c.b.bindPermanent(ctx, rows...)
}

// add returns when messages for the queue can no longer be missed.
func (c *consumer) add(ctx context.Context, q broker.Queue) error {
	q = q.WithDefaults()
	c.mu.Lock()
	known := slices.ContainsFunc(c.queues, func(have broker.Queue) bool { return have.Name == q.Name })
	var active <-chan error
	if !known && c.open.Err() == nil {
		c.queues = append(c.queues, q)
		c.setWaiters()
		active = c.feed(q)
	}
	c.mu.Unlock()
	if active == nil {
		return nil
	}
	select {
	case err := <-active:
		return err
	case <-ctx.Done():
		return fmt.Errorf("subscribe to fanout exchange %s: %w", q.Exchange, ctx.Err())
	}
}

// CancelQueue stops taking messages from the queue; what was claimed from it
// stays claimed.
func (c *consumer) CancelQueue(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queues = slices.DeleteFunc(c.queues, func(q broker.Queue) bool { return q.Name == name })
	c.setWaiters()
	if stop := c.feeders[name]; stop != nil {
		stop()
		delete(c.feeders, name)
	}
	return nil
}

// SetPrefetch changes how many deliveries may be unsettled at once.
func (c *consumer) SetPrefetch(n int) {
	c.mu.Lock()
	c.prefetch = max(n, 1)
	c.mu.Unlock()
	signal(c.freed)
}

// Queues lists what is consumed.
func (c *consumer) Queues() []broker.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.queues)
}

// Close ends Claim. A consumer claims only what Claim then returns, so that
// there is nothing else to give back; a claim that is under way gives back what
// it gets.
func (c *consumer) Close(ctx context.Context) error {
	c.closeOpen()
	c.mu.Lock()
	c.queues = nil
	c.setWaiters()
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.claiming.Lock()
		defer c.claiming.Unlock()
		c.wg.Wait()
	}()
	select {
	case <-done:
		c.retire()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close consumer: %w", ctx.Err())
	}
}

// retire ends the settler once the consumer is closed and nothing is unsettled.
func (c *consumer) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open.Err() != nil && len(c.inflight) == 0 {
		c.cancel()
	}
}

// held are the tags of unsettled deliveries.
func (c *consumer) held() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	tags := make([]string, 0, len(c.inflight))
	for tag, d := range c.inflight {
		if d.state == unsettled || d.state == settling {
			tags = append(tags, tag)
		}
	}
	return tags
}

// lose ends the claims that somebody else returned.
func (c *consumer) lose(tags []string) {
	for _, tag := range tags {
		c.mu.Lock()
		d := c.inflight[tag]
		lost := d != nil && d.state == unsettled
		c.mu.Unlock()
		if lost {
			slog.WarnContext(c.ctx, "claim lost: the message was returned to its queue and may run elsewhere",
				"queue", d.queue, "tag", tag)
			d.end(lostClaim)
		}
	}
}

// giveBack returns claims that nobody will work on.
func (c *consumer) giveBack(ds []broker.Delivery) error {
	var failed error
	for _, d := range ds {
		failed = errors.Join(failed, d.Return(c.ctx))
	}
	return failed
}
