package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

const consumerTag = "umbel"

// stream consumes one queue on a channel of its own. It outlives its consumer
// until everything claimed from it is settled.
type stream struct {
	owner   *consumer
	queue   broker.Queue
	args    amqp091.Table // of basic.consume
	session *session
	ch      *amqp091.Channel
	lost    chan struct{} // closed when the channel is
	early   chan parking  // to be parked again

	// turn is held while intake changes, and over its requests on the channel.
	turn   sync.Mutex
	intake *intake // nil while nothing is taken
	taken  int     // how many intakes there were

	// The rest belongs to the owner's mutex.
	waiting   []*delivery
	held      map[*delivery]*holding
	unsettled int  // arrived and not settled, wherever they are
	claimed   int  // returned by Claim and not settled
	stopping  bool // nothing will be claimed any more
	gone      bool // the channel is closed: counts mean nothing
}

// intake is one basic.consume. Its prefetch is fixed: RabbitMQ applies basic.qos
// to later consumers only.
type intake struct {
	tag      string
	prefetch int
	asked    atomic.Bool   // we cancelled it, perhaps without seeing its end
	ended    chan struct{} // closed when nothing more arrives
}

// newStream declares the queue and starts to consume it.
func newStream(ctx context.Context, c *consumer, q broker.Queue, prefetch int) (*stream, error) {
	s, err := c.b.consuming.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("consume queue %s: %w", q.Name, err)
	}
	if err := c.b.declare(s, q); err != nil {
		return nil, err
	}
	if err := c.b.joinNative(s, q); err != nil {
		return nil, err
	}
	args, err := consumerArgs(q)
	if err != nil {
		return nil, err
	}
	ch, err := s.channel()
	if err != nil {
		return nil, err
	}
	st := &stream{
		owner: c, queue: q, args: args, session: s, ch: ch, lost: make(chan struct{}),
		early: make(chan parking, reparkBatch), held: map[*delivery]*holding{},
	}
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	if err := st.start(ctx, prefetch); err != nil {
		st.close()
		return nil, err
	}
	c.b.streams.Go(func() { st.watch(closed) })
	c.b.streams.Go(st.repark)
	return st, nil
}

// start takes messages, with this prefetch, and gives back what exceeds it. It
// does nothing for a stream that does so already or has ended.
func (st *stream) start(ctx context.Context, prefetch int) error {
	st.turn.Lock()
	defer st.turn.Unlock()
	if st.takes(prefetch) {
		return nil
	}
	if err := st.end(ctx); err != nil {
		return err
	}
	if st.over() {
		return nil
	}
	st.giveBackWaiting(prefetch)
	if err := st.ch.Qos(prefetch, 0, false); err != nil {
		return st.session.failed("set the prefetch of queue "+st.queue.Name, err)
	}
	st.taken++
	in := &intake{tag: fmt.Sprint(consumerTag, st.taken), prefetch: prefetch, ended: make(chan struct{})}
	deliveries, err := st.ch.Consume(st.queue.Name, in.tag, false, false, false, false, st.args)
	if err != nil {
		return st.session.failed("consume queue "+st.queue.Name, err)
	}
	st.intake = in
	st.owner.b.streams.Go(func() { st.pump(in, deliveries) })
	return nil
}

// takes reports whether messages come with this prefetch. The turn is held.
func (st *stream) takes(prefetch int) bool {
	return st.intake != nil && !st.intake.asked.Load() && st.intake.prefetch == prefetch
}

// halt takes no more messages, until the next start.
func (st *stream) halt(ctx context.Context) error {
	st.turn.Lock()
	defer st.turn.Unlock()
	return st.end(ctx)
}

// end cancels the intake and waits for what was on the way. What arrived stays
// ours. When ctx ends first, the next call goes on waiting. The turn is held.
func (st *stream) end(ctx context.Context) error {
	in := st.intake
	if in == nil {
		return nil
	}
	in.asked.Store(true)
	if err := st.ch.Cancel(in.tag, false); err != nil && !st.isLost() {
		return st.session.failed("stop consuming queue "+st.queue.Name, err)
	}
	select {
	case <-in.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	st.intake = nil
	return nil
}

// pump receives until the intake is cancelled or the channel closed.
func (st *stream) pump(in *intake, deliveries <-chan amqp091.Delivery) {
	for raw := range deliveries {
		until, parked := parkedUntil(raw.Headers)
		d := newDelivery(st, raw)
		st.owner.mu.Lock()
		st.unsettled++
		st.owner.mu.Unlock()
		if parked {
			st.place(d, until)
		} else {
			st.ready(d)
		}
	}
	unasked := !in.asked.Load() && !st.isLost() && st.owner.streamOver(st, errCancelled)
	close(in.ended) // whoever waits for it knows by now that the stream is over
	if unasked {
		st.release(st.owner.b.life)
	}
}

var errCancelled = errors.New("RabbitMQ cancelled the consumer; was the queue deleted?")

// watch learns of the end of the channel.
func (st *stream) watch(closed <-chan *amqp091.Error) {
	var why error = amqp091.ErrClosed
	if err := <-closed; err != nil {
		why = explainClose(err)
	}
	close(st.lost)
	st.owner.streamOver(st, why)
	st.owner.streamGone(st)
}

// explainClose says what to do about a channel that RabbitMQ closed.
func explainClose(e *amqp091.Error) error {
	if e.Code == amqp091.PreconditionFailed && strings.Contains(e.Reason, "timed out") {
		return fmt.Errorf("%w; a message was unacknowledged for longer than RabbitMQ's consumer_timeout (30 min by default), so that all messages of this queue in work here run again elsewhere: acknowledge long tasks early (acks_late off), give them a time limit, or raise consumer_timeout in rabbitmq.conf", e)
	}
	return e
}

// ready offers the delivery to Claim.
func (st *stream) ready(d *delivery) {
	st.owner.mu.Lock()
	stopping := st.stopping
	if !stopping {
		st.waiting = append(st.waiting, d)
	}
	st.owner.mu.Unlock()
	if stopping {
		st.giveBack(d)
		return
	}
	st.owner.wakeUp()
}

// giveBack returns a delivery that nobody claimed.
func (st *stream) giveBack(d *delivery) {
	if d.putBack(st.owner.b.life) == nil {
		st.settled(d)
	}
}

// giveBackWaiting returns what nobody claimed, but for the first keep.
func (st *stream) giveBackWaiting(keep int) {
	st.owner.mu.Lock()
	keep = min(keep, len(st.waiting))
	waiting := st.waiting[keep:]
	st.waiting = st.waiting[:keep:keep]
	st.owner.mu.Unlock()
	for _, d := range waiting {
		st.giveBack(d)
	}
}

// settled counts a delivery that RabbitMQ was told about. The last one closes the
// channel of a stream that has stopped.
func (st *stream) settled(d *delivery) {
	st.owner.mu.Lock()
	if st.gone {
		st.owner.mu.Unlock()
		return
	}
	st.unsettled--
	st.unclaim(d)
	last := st.stopping && st.unsettled == 0
	st.owner.mu.Unlock()
	st.owner.wakeUp()
	if last {
		st.close()
	}
}

// unclaim frees the place that the delivery took in the prefetch.
func (st *stream) unclaim(d *delivery) {
	if d.claimed {
		d.claimed = false
		st.claimed--
		st.owner.claimed--
	}
}

func (st *stream) isLost() bool {
	select {
	case <-st.lost:
		return true
	default:
		return st.ch.IsClosed()
	}
}

// over reports whether nothing will be claimed from this stream any more.
func (st *stream) over() bool {
	st.owner.mu.Lock()
	defer st.owner.mu.Unlock()
	return st.stopping || st.gone
}

// stop cancels the consumer and gives back what nobody claimed, also when it
// cannot wait for the rest: that is given back as it arrives.
func (st *stream) stop(ctx context.Context) error {
	st.owner.mu.Lock()
	st.stopping = true
	st.owner.mu.Unlock()
	err := st.halt(ctx)
	st.release(ctx)
	return err
}

// release gives back what waits to be claimed, parks again what waits for its
// time, and closes the channel unless something is still claimed.
func (st *stream) release(ctx context.Context) {
	st.owner.mu.Lock()
	st.stopping = true
	held := st.unhold()
	idle := st.unsettled == 0 && !st.gone
	st.owner.mu.Unlock()
	st.giveBackWaiting(0)
	if len(held) > 0 {
		st.reparkAll(ctx, held)
	}
	if idle {
		st.close()
	}
}

func (st *stream) close() {
	if err := st.ch.Close(); err != nil && !errors.Is(err, amqp091.ErrClosed) {
		slog.Debug("a consuming channel did not close in order", "queue", st.queue.Name, "error", err)
	}
}
