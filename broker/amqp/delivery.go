package amqp

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// Life of a delivery.
const (
	open int32 = iota
	settling
	settled
)

// delivery is one unacknowledged message on one channel.
type delivery struct {
	stream  *stream
	raw     amqp091.Delivery
	message *protocol.Message
	state   atomic.Int32
	claimed bool // returned by Claim; belongs to the consumer's mutex
}

var _ broker.Delivery = (*delivery)(nil)

func newDelivery(st *stream, raw amqp091.Delivery) *delivery {
	_, parked := raw.Headers[headerUntil]
	key := plainKey(raw.RoutingKey)
	if parked || key != raw.RoutingKey {
		raw.Headers = withoutTrail(raw.Headers)
	}
	raw.RoutingKey = key
	return &delivery{stream: st, raw: raw, message: decode(&raw)}
}

// Message implements broker.Delivery.
func (d *delivery) Message() *protocol.Message { return d.message }

// Queue implements broker.Delivery.
func (d *delivery) Queue() string { return d.stream.queue.Name }

// headerDeliveries is how often a quorum queue delivered the message before. It
// is among the headers of the Message of such a delivery.
const headerDeliveries = "x-delivery-count"

// Redelivered implements broker.Delivery with RabbitMQ's own mark or a quorum
// queue's count (the header x-delivery-count, an integer, in Message().Headers).
func (d *delivery) Redelivered() bool { return d.raw.Redelivered || d.deliveries() > 0 }

// deliveries is the count of a quorum queue, 0 on others.
func (d *delivery) deliveries() int64 {
	count, _ := fromField(d.raw.Headers[headerDeliveries]).(json.Number)
	n, _ := count.Int64()
	return n
}

// Lost implements broker.Delivery: it is closed when the channel is, since
// RabbitMQ then gives the message to another consumer.
func (d *delivery) Lost() <-chan struct{} { return d.stream.lost }

// Ack implements broker.Delivery. AMQP confirms no acknowledgements: an error is
// certain, success means that it was sent.
func (d *delivery) Ack(context.Context) error {
	return d.settle("acknowledge", func() error {
		d.stream.owner.acknowledged()
		return d.ack()
	})
}

// Reject implements broker.Delivery with basic.reject: without requeue RabbitMQ
// drops the message or hands it to the queue's dead-letter exchange.
func (d *delivery) Reject(_ context.Context, requeue bool) error {
	return d.settle("reject", func() error { return d.sent(d.raw.Reject(requeue)) })
}

// Return implements broker.Delivery: the message goes back to its old place in
// the queue, or to its end when a quorum queue has delivered it often.
func (d *delivery) Return(ctx context.Context) error {
	return d.settle("return", func() error { return d.putBack(ctx) })
}

// Park implements broker.Delivery: a confirmed copy in a delay bucket, then the
// acknowledgement. With less than a second to go, this process keeps the message
// unacknowledged and returns it from Claim when it is due.
func (d *delivery) Park(ctx context.Context, until time.Time) error {
	return d.settle("park", func() error {
		rest := until.Sub(d.stream.owner.b.now())
		if rest < holdBelow && d.stream.holdClaimed(d, until, rest) {
			return nil
		}
		if err := d.stream.owner.b.park(ctx, parking{d, until}); err != nil {
			return err
		}
		return d.ack()
	})
}

// Dead implements broker.Delivery: a confirmed copy in umbel.dead.<queue>, then
// the acknowledgement.
func (d *delivery) Dead(ctx context.Context, reason string) error {
	return d.settle("move to the dead letters", func() error {
		b := d.stream.owner.b
		queue := d.stream.queue.Name
		if err := b.bury(ctx, queue, d.copy(), reason); err != nil {
			return err
		}
		return d.ack()
	})
}

// settle runs one of the settling methods. Only the first to succeed counts;
// one that fails while the claim is still ours may be followed by another.
func (d *delivery) settle(doing string, f func() error) error {
	if !d.state.CompareAndSwap(open, settling) {
		return d.failed(doing, fmt.Errorf("%w: it was settled before", broker.ErrClaimLost))
	}
	if d.stream.isLost() {
		d.state.Store(settled)
		return d.failed(doing, fmt.Errorf("%w: the connection to RabbitMQ broke, and another consumer gets it", broker.ErrClaimLost))
	}
	if err := f(); err != nil {
		if d.stream.isLost() {
			d.state.Store(settled)
			err = fmt.Errorf("%w: %w", broker.ErrClaimLost, err)
		} else {
			d.state.Store(open)
		}
		return d.failed(doing, err)
	}
	d.state.Store(settled)
	d.stream.settled(d)
	return nil
}

func (d *delivery) failed(doing string, err error) error {
	return fmt.Errorf("%s message %s of queue %s: %w", doing, d.message.Properties.CorrelationID, d.Queue(), err)
}

func (d *delivery) ack() error     { return d.sent(d.raw.Ack(false)) }
func (d *delivery) requeue() error { return d.sent(d.raw.Nack(false, true)) }

const (
	// putBackLimit is from how many deliveries on a copy goes back.
	putBackLimit   = 5
	putBackTimeout = 5 * time.Second
)

// putBack returns the message to its queue. A quorum queue counts that and drops
// what reaches its delivery limit (20 by default from RabbitMQ 4.0 on), which is
// meant for messages that end their workers: before it comes to that, a new copy
// goes to the end of the queue.
func (d *delivery) putBack(ctx context.Context) error {
	if d.deliveries() < putBackLimit {
		return d.requeue()
	}
	ctx, cancel := context.WithTimeout(ctx, putBackTimeout)
	defer cancel()
	copied := outgoing{key: d.Queue(), mandatory: true, message: d.copy()}
	if d.stream.owner.b.publish(ctx, []outgoing{copied}) != nil {
		return d.requeue()
	}
	return d.ack()
}

// sent gives the meaning to an error in sending a settlement: the channel is
// gone, and with it the claim.
func (d *delivery) sent(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrClaimLost, err)
	}
	return nil
}

// copy is the message as it came, for another queue: without expiration, which
// would end it there, and without the trail of former dead-lettering, by which
// RabbitMQ would take the copy for one that goes in a circle and drop it.
func (d *delivery) copy() amqp091.Publishing { return copyOf(&d.raw) }

func copyOf(r *amqp091.Delivery) amqp091.Publishing {
	headers := safeTable(withoutTrail(r.Headers))
	delete(headers, headerDeliveries)
	return amqp091.Publishing{
		Headers:         headers,
		ContentType:     r.ContentType,
		ContentEncoding: r.ContentEncoding,
		DeliveryMode:    protocol.Persistent,
		Priority:        r.Priority,
		CorrelationId:   r.CorrelationId,
		ReplyTo:         r.ReplyTo,
		MessageId:       r.MessageId,
		Timestamp:       r.Timestamp,
		Type:            r.Type,
		AppId:           r.AppId,
		Body:            r.Body,
	}
}

// trail is what RabbitMQ adds to a dead-lettered message, and we to a parked or
// dead one.
var trail = []string{
	headerUntil, headerDeadID, headerDeadReason, headerDeadQueue, headerDeadTime,
	"x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
	"x-last-death-exchange", "x-last-death-queue", "x-last-death-reason",
}

func withoutTrail(headers amqp091.Table) amqp091.Table {
	out := make(amqp091.Table, len(headers)+4)
	for name, v := range headers {
		out[name] = v
	}
	for _, name := range trail {
		delete(out, name)
	}
	return out
}
