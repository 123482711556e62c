package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

const consumerTag = "umbel"

// stream consumes one queue on a channel of its own. It outlives its consumer
// until everything claimed from it is settled.
type stream struct {
	owner   *consumer
	queue   broker.Queue
	session *session
	ch      *amqp091.Channel
	lost    chan struct{} // closed when the channel is
	ended   chan struct{} // closed when nothing more arrives
	early   chan parking  // to be parked again; never full, by the prefetch

	// The rest belongs to the owner's mutex.
	waiting   []*delivery
	held      map[*delivery]*holding
	unsettled int  // arrived and not settled, wherever they are
	claimed   int  // returned by Claim and not settled
	stopping  bool // nothing will be claimed any more
	gone      bool // the channel is closed: counts mean nothing
}

// newStream declares the queue and starts to consume it.
func newStream(ctx context.Context, c *consumer, q broker.Queue) (*stream, error) {
	s, err := c.b.consuming.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("consume queue %s: %w", q.Name, err)
	}
	if err := s.declare(q); err != nil {
		return nil, err
	}
	ch, err := s.channel()
	if err != nil {
		return nil, err
	}
	st := &stream{
		owner: c, queue: q, session: s, ch: ch,
		lost: make(chan struct{}), ended: make(chan struct{}),
		early: make(chan parking, c.prefetch), held: map[*delivery]*holding{},
	}
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	deliveries, err := st.consume()
	if err != nil {
		ch.Close()
		return nil, err
	}
	c.b.streams.Go(func() { st.pump(deliveries) })
	c.b.streams.Go(func() { st.watch(closed) })
	c.b.streams.Go(st.repark)
	return st, nil
}

func (st *stream) consume() (<-chan amqp091.Delivery, error) {
	if err := st.ch.Qos(st.owner.prefetch, 0, false); err != nil {
		return nil, st.session.failed("set the prefetch of queue "+st.queue.Name, err)
	}
	deliveries, err := st.ch.Consume(st.queue.Name, consumerTag, false, false, false, false, nil)
	if err != nil {
		return nil, st.session.failed("consume queue "+st.queue.Name, err)
	}
	return deliveries, nil
}

// pump receives until the consumer is cancelled or the channel closed.
func (st *stream) pump(deliveries <-chan amqp091.Delivery) {
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
	close(st.ended)
	cancelled := errors.New("RabbitMQ cancelled the consumer; was the queue deleted?")
	if !st.isLost() && st.owner.streamOver(st, cancelled) {
		st.release(st.owner.b.life)
	}
}

// watch learns of the end of the channel.
func (st *stream) watch(closed <-chan *amqp091.Error) {
	var why error = amqp091.ErrClosed
	if err := <-closed; err != nil {
		why = err
	}
	close(st.lost)
	st.owner.streamOver(st, why)
	st.owner.streamGone(st)
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
	if d.requeue() == nil {
		st.settled(d)
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

// stop cancels the consumer and gives back what nobody claimed.
func (st *stream) stop(ctx context.Context) error {
	st.owner.mu.Lock()
	st.stopping = true
	st.owner.mu.Unlock()
	if err := st.ch.Cancel(consumerTag, false); err != nil && !st.isLost() {
		return st.session.failed("stop consuming queue "+st.queue.Name, err)
	}
	select {
	case <-st.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	st.release(ctx)
	return nil
}

// release gives back what waits to be claimed, parks again what waits for its
// time, and closes the channel unless something is still claimed.
func (st *stream) release(ctx context.Context) {
	st.owner.mu.Lock()
	st.stopping = true
	waiting := st.waiting
	st.waiting = nil
	held := st.unhold()
	idle := st.unsettled == 0 && !st.gone
	st.owner.mu.Unlock()
	for _, d := range waiting {
		st.giveBack(d)
	}
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
