package amqp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/umbel-go/umbel/broker"
)

// maxPrefetch is the largest count that basic.qos carries.
const maxPrefetch = 65535

// consumer takes from several queues, each over a stream of its own with the
// whole prefetch; what Claim returns is bounded by the prefetch over all queues.
type consumer struct {
	b    *Broker
	life context.Context
	end  context.CancelCauseFunc
	wake chan struct{} // something changed that Claim waits for

	changing sync.Mutex // held while streams are opened, halted or restarted

	mu       sync.Mutex
	prefetch int
	resume   time.Time // when a Yield ends
	yielding bool      // since a Yield nothing was acknowledged
	queues   []broker.Queue
	streams  map[string]*stream
	turn     int   // whose queue is first in the next claim
	claimed  int   // returned by Claim and not settled
	failure  error // why a stream ended; the next Claim returns it
}

var _ broker.Consumer = (*consumer)(nil)

// Consume declares the queues and starts to take from them. opts.Worker is not
// needed on RabbitMQ, where a claim belongs to its channel.
func (b *Broker) Consume(ctx context.Context, opts broker.ConsumeOptions) (broker.Consumer, error) {
	c := &consumer{
		b:        b,
		prefetch: boundPrefetch(opts.Prefetch),
		wake:     make(chan struct{}, 1),
		streams:  map[string]*stream{},
		queues:   slices.Clone(opts.Queues),
	}
	c.life, c.end = context.WithCancelCause(b.life)
	if _, err := c.keepUp(ctx); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

func boundPrefetch(n int) int { return min(max(n, 1), maxPrefetch) }

// Claim implements broker.Consumer. It returns what has arrived, taken from the
// queues in turn. When a connection broke or RabbitMQ cancelled a consumer (its
// queue was deleted), it returns an error once and the next call starts anew.
func (c *consumer) Claim(ctx context.Context, max int) ([]broker.Delivery, error) {
	for {
		if c.life.Err() != nil {
			return nil, fmt.Errorf("claim: %w", broker.ErrClosed)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := c.takeFailure(); err != nil {
			return nil, err
		}
		resume, err := c.keepUp(ctx)
		if err != nil {
			return nil, err
		}
		if claimed := c.take(max); len(claimed) > 0 {
			return claimed, nil
		}
		select {
		case <-c.wake:
		case <-resume:
		case <-c.life.Done():
		case <-ctx.Done():
		}
	}
}

// take claims up to max of what has arrived, one from each queue in turn.
func (c *consumer) take(max int) []broker.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(max, c.prefetch-c.claimed)
	var out []broker.Delivery
	for empty := 0; len(out) < n && empty < len(c.queues); c.turn++ {
		st := c.streams[c.queues[c.turn%len(c.queues)].Name]
		if st == nil || len(st.waiting) == 0 {
			empty++
			continue
		}
		empty = 0
		d := st.waiting[0]
		st.waiting[0] = nil
		st.waiting = st.waiting[1:]
		d.claimed = true
		st.claimed++
		c.claimed++
		out = append(out, d)
	}
	return out
}

func (c *consumer) takeFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.failure
	c.failure = nil
	return err
}

// keepUp makes the streams what they should be now: one for every queue, with the
// current prefetch, unless a Yield goes on. The channel returned tells its end.
func (c *consumer) keepUp(ctx context.Context) (resume <-chan time.Time, err error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	prefetch, rest := c.wanted()
	if rest > 0 {
		return time.After(rest), nil
	}
	for _, st := range c.opened() {
		if err := st.start(ctx, prefetch); err != nil && !st.isLost() {
			return nil, err
		}
	}
	for _, q := range c.missing() {
		st, err := newStream(ctx, c, q, prefetch)
		if err != nil {
			return nil, err
		}
		if !c.adopt(st) {
			if err := st.stop(ctx); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// wanted returns the prefetch and how long a Yield still goes on. After one it is
// 1 until something was acknowledged: what we take and cannot use, others wait for.
func (c *consumer) wanted() (prefetch int, rest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.yielding {
		return 1, c.resume.Sub(c.b.now())
	}
	return c.prefetch, 0
}

// acknowledged ends what a Yield left behind.
func (c *consumer) acknowledged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.yielding && !c.resume.After(c.b.now()) {
		c.yielding = false
	}
}

func (c *consumer) opened() []*stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.streams))
}

func (c *consumer) missing() []broker.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []broker.Queue
	for _, q := range c.queues {
		if c.streams[q.Name] == nil {
			out = append(out, q)
		}
	}
	return out
}

// adopt enters a new stream. It reports false when its queue is wanted no more.
func (c *consumer) adopt(st *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil || c.index(st.queue.Name) < 0 {
		return false
	}
	if st.gone || st.stopping {
		return true // it ended at once, and Claim will say so
	}
	c.streams[st.queue.Name] = st
	return true
}

func (c *consumer) index(queue string) int {
	return slices.IndexFunc(c.queues, func(q broker.Queue) bool { return q.Name == queue })
}

// streamOver records the end of a stream and reports whether it came unasked.
func (c *consumer) streamOver(st *stream, why error) bool {
	c.mu.Lock()
	unasked := !st.stopping
	if unasked {
		st.stopping = true
		c.failure = fmt.Errorf("consume queue %s on RabbitMQ at %s: %w: %w", st.queue.Name, st.session.where, broker.ErrConnection, why)
	}
	if c.streams[st.queue.Name] == st {
		delete(c.streams, st.queue.Name)
	}
	c.mu.Unlock()
	c.wakeUp()
	return unasked
}

// streamGone forgets the deliveries of a closed channel.
func (c *consumer) streamGone(st *stream) {
	c.mu.Lock()
	st.gone = true
	st.waiting = nil
	st.unhold()
	c.claimed -= st.claimed
	st.claimed = 0
	c.mu.Unlock()
	c.wakeUp()
}

func (c *consumer) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// AddQueue declares the queue and takes from it, too, while a Yield goes on
// after that. It does nothing for a queue that is consumed already.
func (c *consumer) AddQueue(ctx context.Context, q broker.Queue) error {
	c.mu.Lock()
	known := c.index(q.Name) >= 0
	if !known {
		c.queues = append(slices.Clip(c.queues), q)
	}
	c.mu.Unlock()
	if known {
		return nil
	}
	if _, err := c.keepUp(ctx); err != nil {
		return errors.Join(err, c.CancelQueue(ctx, q.Name))
	}
	c.wakeUp()
	return nil
}

// CancelQueue stops taking from the queue and gives back what was not claimed.
func (c *consumer) CancelQueue(ctx context.Context, name string) error {
	c.mu.Lock()
	if i := c.index(name); i >= 0 {
		c.queues = slices.Delete(slices.Clone(c.queues), i, i+1)
	}
	st := c.streams[name]
	delete(c.streams, name)
	c.mu.Unlock()
	if st == nil {
		return nil
	}
	return st.stop(ctx)
}

// Queues implements broker.Consumer.
func (c *consumer) Queues() []broker.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.queues)
}

// Close implements broker.Consumer. The channels stay open until what Claim
// returned is settled.
func (c *consumer) Close(ctx context.Context) error {
	c.end(broker.ErrClosed)
	c.mu.Lock()
	streams := c.streams
	c.streams = map[string]*stream{}
	c.mu.Unlock()
	var errs []error
	for _, st := range streams {
		errs = append(errs, st.stop(ctx))
	}
	return errors.Join(errs...)
}
