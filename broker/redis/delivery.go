package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// state of a delivery, guarded by its consumer's mu.
type state int

const (
	unsettled state = iota
	settling
	settled
	lostClaim
)

// delivery is a broker.Delivery: one claim under a tag that is never used again,
// so that it is ours exactly as long as the tag is in unacked.
type delivery struct {
	c        *consumer
	tag      string
	queue    string
	list     string // where it was taken from
	envelope []byte // as it goes back
	message  *protocol.Message
	lost     chan struct{}
	state    state

	redelivered bool
}

func (d *delivery) Message() *protocol.Message { return d.message }
func (d *delivery) Queue() string              { return d.queue }
func (d *delivery) Redelivered() bool          { return d.redelivered }
func (d *delivery) Lost() <-chan struct{}      { return d.lost }

// Ack forgets the message.
func (d *delivery) Ack(ctx context.Context) error {
	return d.settle(ctx, &operation{doing: "acknowledge"})
}

// Reject drops the message or puts it back at the far end of its list, marked
// as redelivered (kombu).
func (d *delivery) Reject(ctx context.Context, requeue bool) error {
	if !requeue {
		return d.settle(ctx, &operation{doing: "reject"})
	}
	return d.settle(ctx, d.putBack("requeue", "LPUSH"))
}

// Return puts the message back at the near end of its list. It is marked as
// redelivered, as kombu marks what a stopping worker restores: it was handed out
// before.
func (d *delivery) Return(ctx context.Context) error {
	return d.settle(ctx, d.putBack("return", "RPUSH"))
}

func (d *delivery) putBack(doing, push string) *operation {
	k := d.c.b.keys
	return &operation{
		doing:  doing,
		script: putBackScript,
		args:   []any{k.unacked(), k.unackedIndex(), k.claims(), d.list, d.tag, push, redeliver(d.envelope)},
	}
}

// Park keeps the message in unacked until its time; it then returns to the near
// end of its list, not marked as redelivered: it was never started. until is
// measured by this machine's clock and kept by the server's, so that a
// difference between the two neither delays nor hastens it.
func (d *delivery) Park(ctx context.Context, until time.Time) error {
	k := d.c.b.keys
	err := d.settle(ctx, &operation{
		doing:  "park",
		script: parkScript,
		args: []any{k.unacked(), k.unackedIndex(), k.claims(), k.delayed(d.queue), k.delayedQueues(),
			d.tag, strconv.FormatFloat(time.Until(until).Seconds(), 'f', 6, 64), d.queue},
	})
	if err == nil {
		signal(d.c.reparks)
	}
	return err
}

// Dead moves the message to the queue's dead letters.
func (d *delivery) Dead(ctx context.Context, reason string) error {
	letter, err := letterJSON(d.queue, reason, time.Now(), d.envelope)
	if err != nil {
		return fmt.Errorf("dead-letter: %w", err)
	}
	k := d.c.b.keys
	return d.settle(ctx, &operation{
		doing:  "dead-letter",
		script: deadScript,
		args: []any{k.unacked(), k.unackedIndex(), k.claims(), k.dead(d.queue), k.deadLetters(d.queue), k.deadBytes(d.queue),
			d.tag, uuid.NewString(), letter, d.c.b.cfg.DeadCount, d.c.b.cfg.DeadBytes},
	})
}

// settle hands the operation to the settler and waits for its outcome. When ctx
// ends first the operation may still happen.
func (d *delivery) settle(ctx context.Context, op *operation) error {
	if !d.begin() {
		return fmt.Errorf("%s message from %s: %w", op.doing, d.queue, broker.ErrClaimLost)
	}
	op.d, op.done = d, make(chan error, 1)
	select {
	case d.c.ops <- op:
	case <-ctx.Done():
		d.end(unsettled)
		return fmt.Errorf("%s message from %s: %w", op.doing, d.queue, ctx.Err())
	case <-d.c.ctx.Done():
		d.end(unsettled)
		return fmt.Errorf("%s message from %s: %w", op.doing, d.queue, broker.ErrClosed)
	}
	select {
	case err := <-op.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s message from %s: %w", op.doing, d.queue, ctx.Err())
	case <-d.c.ctx.Done():
		// The settler may have ended because of this very operation.
		select {
		case err := <-op.done:
			return err
		default:
			return fmt.Errorf("%s message from %s: %w", op.doing, d.queue, broker.ErrClosed)
		}
	}
}

func (d *delivery) begin() bool {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if d.state != unsettled {
		return false
	}
	d.state = settling
	return true
}

// end sets the state after an attempt to settle; what is over no longer counts
// against the prefetch.
func (d *delivery) end(s state) {
	c := d.c
	c.mu.Lock()
	if d.state == settled || d.state == lostClaim {
		c.mu.Unlock()
		return
	}
	d.state = s
	if s == lostClaim {
		close(d.lost)
	}
	if s != unsettled {
		delete(c.inflight, d.tag)
	}
	c.mu.Unlock()
	if s != unsettled {
		signal(c.freed)
	}
}
