package amqp

import (
	"context"
	"errors"
	"time"
)

// Yield leaves the queues to other consumers: it gives back what arrived and was
// not claimed, and for the time d from now RabbitMQ sends nothing here. When it
// returns, a Return or Reject with requeue goes to another consumer, if there is
// one. Claim goes on by itself after d; calls that overlap end with the latest.
// Claimed deliveries stay ours. Afterwards the prefetch is 1 until a delivery is
// acknowledged. It is safe for concurrent use.
//
// What is given back counts as redelivered for whoever gets it next, and on a
// quorum queue as one more delivery.
func (c *consumer) Yield(ctx context.Context, d time.Duration) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	c.yielding = true
	if until := c.b.now().Add(d); until.After(c.resume) {
		c.resume = until
	}
	c.mu.Unlock()
	var errs []error
	for _, st := range c.opened() {
		if err := st.halt(ctx); err != nil && !st.isLost() {
			errs = append(errs, err)
			continue
		}
		st.giveBackWaiting(0)
	}
	c.wakeUp()
	return errors.Join(errs...)
}

// SetPrefetch changes how many unsettled deliveries the consumer may hold at
// once, from the next Claim on; less than 1 means 1. RabbitMQ fixes the prefetch
// of a consumer for its life on quorum queues, and applies basic.qos to later
// consumers only on others: the consumer is cancelled and another begins on the
// same channel, so that what is claimed stays claimed. It is safe for concurrent
// use.
func (c *consumer) SetPrefetch(n int) {
	c.mu.Lock()
	c.prefetch = boundPrefetch(n)
	c.mu.Unlock()
	c.wakeUp()
}
