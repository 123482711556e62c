package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

const (
	defaultBuffer = 1024
	// lockPause is the time between attempts at a queue that another connection
	// holds exclusively.
	lockPause = 500 * time.Millisecond
)

// Subscribe declares the exchange, and the queue as one of our own life: it is
// deleted with its last consumer and, unless NotExclusive, with our connection.
//
// A queue that another connection holds (405) is asked for again until that
// connection, if it belongs to a former self, must have timed out; then the
// error names the clash and does not match broker.ErrConnection. When Buffer
// messages wait in this process, RabbitMQ keeps the next ones.
func (b *Broker) Subscribe(ctx context.Context, opts broker.SubscribeOptions) (broker.Subscription, error) {
	if err := checkNames(opts.Exchange, opts.Queue, opts.RoutingKey); err != nil {
		return nil, fmt.Errorf("subscribe to queue %s: %w", opts.Queue, err)
	}
	if opts.Buffer <= 0 {
		opts.Buffer = defaultBuffer
	}
	opts.Buffer = min(opts.Buffer, maxPrefetch)
	deadline := b.now().Add(b.lockPatience())
	for {
		sub, err := b.subscribe(ctx, opts)
		if !isCode(err, amqp091.ResourceLocked) {
			return sub, err
		}
		if b.now().After(deadline) {
			return nil, fmt.Errorf("%w; another connection holds queue %s: is a second worker with the same node name running? Stop it or give this one a name of its own (-n)", err, opts.Queue)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// lockPatience is longer than RabbitMQ keeps a connection that fell silent.
func (b *Broker) lockPatience() time.Duration {
	return 3*cmp.Or(b.endpoints.current().heartbeat, serverHeartbeat) + 5*time.Second
}

func (b *Broker) subscribe(ctx context.Context, opts broker.SubscribeOptions) (broker.Subscription, error) {
	s, err := b.subscribing.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("subscribe to queue %s: %w", opts.Queue, err)
	}
	if err := s.ensureExchange(opts.Exchange, opts.Kind, opts.DurableExchange); err != nil {
		return nil, err
	}
	ch, err := s.channel()
	if err != nil {
		return nil, err
	}
	sub := &subscription{session: s, ch: ch, queue: opts.Queue, ackEvery: max(opts.Buffer/4, 1)}
	sub.lost = ch.NotifyClose(make(chan *amqp091.Error, 1))
	if err := sub.open(opts); err != nil {
		ch.Close()
		return nil, err
	}
	sub.life, sub.end = context.WithCancelCause(b.life)
	return sub, nil
}

// open declares, binds and consumes the queue.
func (sub *subscription) open(opts broker.SubscribeOptions) error {
	doing := "subscribe to queue " + opts.Queue
	args := amqp091.Table{}
	if opts.TTL > 0 {
		args["x-message-ttl"] = toNumber(fmt.Sprint(opts.TTL.Milliseconds()))
	}
	if opts.Expires > 0 {
		args["x-expires"] = toNumber(fmt.Sprint(opts.Expires.Milliseconds()))
	}
	_, err := sub.ch.QueueDeclare(opts.Queue, opts.DurableQueue, true, !opts.NotExclusive, false, args)
	if err != nil {
		return sub.session.failed(doing, err)
	}
	if opts.Exchange != "" {
		if err := sub.ch.QueueBind(opts.Queue, opts.RoutingKey, opts.Exchange, false, nil); err != nil {
			return sub.session.failed(doing, err)
		}
	}
	// Messages are acknowledged, since without that the library would buffer
	// them without bound.
	if err := sub.ch.Qos(opts.Buffer, 0, false); err != nil {
		return sub.session.failed(doing, err)
	}
	if sub.deliveries, err = sub.ch.Consume(opts.Queue, consumerTag, false, false, false, false, nil); err != nil {
		return sub.session.failed(doing, err)
	}
	return nil
}

// subscription is one queue of our own on a channel of its own.
type subscription struct {
	session    *session
	ch         *amqp091.Channel
	queue      string
	deliveries <-chan amqp091.Delivery
	lost       chan *amqp091.Error
	ackEvery   int

	// Next is for one goroutine.
	unacked int
	last    amqp091.Delivery

	life context.Context
	end  context.CancelCauseFunc
}

var _ broker.Subscription = (*subscription)(nil)

// Next implements broker.Subscription.
func (sub *subscription) Next(ctx context.Context) (*protocol.Message, error) {
	if sub.life.Err() != nil {
		return nil, sub.over()
	}
	select {
	case d, ok := <-sub.deliveries:
		return sub.received(d, ok)
	default:
	}
	// Nothing more is on its way for now: what lies unacknowledged for long makes
	// RabbitMQ close the channel.
	if err := sub.ackAll(); err != nil {
		return nil, err
	}
	select {
	case d, ok := <-sub.deliveries:
		return sub.received(d, ok)
	case <-sub.life.Done():
		return nil, sub.over()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (sub *subscription) received(d amqp091.Delivery, ok bool) (*protocol.Message, error) {
	if !ok {
		return nil, sub.over()
	}
	sub.last = d
	if sub.unacked++; sub.unacked >= sub.ackEvery {
		if err := sub.ackAll(); err != nil {
			return nil, err
		}
	}
	return decode(&d), nil
}

func (sub *subscription) ackAll() error {
	if sub.unacked == 0 {
		return nil
	}
	sub.unacked = 0
	if sub.last.Ack(true) != nil {
		return sub.over()
	}
	return nil
}

// over explains why nothing comes any more.
func (sub *subscription) over() error {
	doing := "receive from queue " + sub.queue
	if sub.life.Err() != nil {
		return fmt.Errorf("%s: %w", doing, broker.ErrClosed)
	}
	why := errors.New("RabbitMQ cancelled the consumer; was the queue deleted?")
	select {
	case e := <-sub.lost:
		if why = amqp091.ErrClosed; e != nil {
			why = e
		}
	default:
	}
	return fmt.Errorf("%s on RabbitMQ at %s: %w: %w", doing, sub.session.where, broker.ErrConnection, why)
}

// Close ends the subscription; RabbitMQ deletes the queue with it.
func (sub *subscription) Close() error {
	sub.end(broker.ErrClosed)
	if err := sub.ch.Close(); err != nil && !errors.Is(err, amqp091.ErrClosed) {
		return fmt.Errorf("close the subscription to queue %s: %w", sub.queue, err)
	}
	return nil
}
