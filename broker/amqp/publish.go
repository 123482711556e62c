package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

const (
	// maxPublishers bounds the channels that publish at the same time.
	maxPublishers = 16
	// confirmWindow is how many messages one channel has on the way before it
	// waits for confirms. Returned messages of a window fit into the channel
	// that collects them, so that the library's reader never waits.
	confirmWindow = 256
)

// outgoing is a message that is ready for the wire.
type outgoing struct {
	exchange, kind, key string
	mandatory           bool
	message             amqp091.Publishing
}

// Publish sends the messages with publisher confirms and returns when RabbitMQ
// has taken responsibility for all of them. With Mandatory, an unroutable one
// makes it return an error that matches broker.ErrNoQueue; the others were
// published. After any other error each of them may or may not have been.
func (b *Broker) Publish(ctx context.Context, msgs ...broker.Publishing) error {
	out := make([]outgoing, len(msgs))
	for i, m := range msgs {
		p, err := encode(m.Message)
		if err != nil {
			return fmt.Errorf("publish to %s: %w", destination(m.Exchange, m.RoutingKey), err)
		}
		out[i] = outgoing{exchange: m.Exchange, kind: m.Kind, key: m.RoutingKey, mandatory: m.Mandatory, message: p}
	}
	return b.publish(ctx, out)
}

func (b *Broker) publish(ctx context.Context, out []outgoing) error {
	if len(out) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s, err := b.publishing.session(ctx)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", out[0].destination(), err)
	}
	return b.publishOn(ctx, s, out)
}

func (b *Broker) publishOn(ctx context.Context, s *session, out []outgoing) error {
	if err := s.unblocked(ctx); err != nil {
		return fmt.Errorf("publish to %s: %w", out[0].destination(), err)
	}
	for i := range out {
		if err := out[i].check(s); err != nil {
			return err
		}
		if err := s.ensureExchange(out[i].exchange, out[i].kind, durableExchange(out[i].exchange)); err != nil {
			return err
		}
	}
	p, err := b.publishers.take(ctx, s)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", out[0].destination(), err)
	}
	err = p.publish(ctx, out)
	b.publishers.put(p)
	return err
}

func (o *outgoing) destination() string { return destination(o.exchange, o.key) }

func destination(exchange, key string) string {
	if exchange == "" {
		return "queue " + key
	}
	return fmt.Sprintf("exchange %s with key %q", exchange, key)
}

// check refuses what would close the connection.
func (o *outgoing) check(s *session) error {
	if len(o.exchange) > maxShort || len(o.key) > maxShort {
		return fmt.Errorf("publish to %.80s: exchange names and routing keys have at most %d bytes", o.destination(), maxShort)
	}
	if err := checkSize(&o.message, s.Config.FrameSize); err != nil {
		return fmt.Errorf("publish to %s: %w", o.destination(), err)
	}
	return nil
}

// publishers keeps idle confirming channels.
type publishers struct {
	slots   chan struct{}
	closing sync.WaitGroup

	mu   sync.Mutex
	idle []*publisher
}

func newPublishers() *publishers {
	return &publishers{slots: make(chan struct{}, maxPublishers)}
}

// take returns a channel on this connection that nobody else uses.
func (ps *publishers) take(ctx context.Context, s *session) (*publisher, error) {
	select {
	case ps.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ps.mu.Lock()
	for n := len(ps.idle); n > 0; n = len(ps.idle) {
		p := ps.idle[n-1]
		ps.idle = ps.idle[:n-1]
		if p.session == s && !p.ch.IsClosed() {
			ps.mu.Unlock()
			return p, nil
		}
	}
	ps.mu.Unlock()
	p, err := newPublisher(s)
	if err != nil {
		<-ps.slots
	}
	return p, err
}

// put gives back what take returned.
func (ps *publishers) put(p *publisher) {
	switch {
	case p.ch.IsClosed():
	case p.owed:
		// RabbitMQ may not answer for long, and the caller's time is up.
		ps.closing.Go(func() { p.ch.Close() })
	default:
		ps.mu.Lock()
		ps.idle = append(ps.idle, p)
		ps.mu.Unlock()
	}
	<-ps.slots
}

// publisher is a channel in confirm mode.
type publisher struct {
	session *session
	ch      *amqp091.Channel
	returns chan amqp091.Return
	closed  chan *amqp091.Error
	owed    bool // confirms or returns may come that nobody waits for
}

func newPublisher(s *session) (*publisher, error) {
	ch, err := s.channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		ch.Close()
		return nil, s.failed("ask for publisher confirms", err)
	}
	return &publisher{
		session: s, ch: ch,
		returns: ch.NotifyReturn(make(chan amqp091.Return, confirmWindow)),
		closed:  ch.NotifyClose(make(chan *amqp091.Error, 1)),
	}, nil
}

func (p *publisher) publish(ctx context.Context, out []outgoing) error {
	var unroutable error
	for len(out) > 0 {
		n := min(len(out), confirmWindow)
		err := p.window(ctx, out[:n])
		if err != nil && !errors.Is(err, broker.ErrNoQueue) {
			p.owed = true
			return err
		}
		unroutable = errors.Join(unroutable, err)
		out = out[n:]
	}
	return unroutable
}

// window publishes and waits for the confirms. RabbitMQ returns an unroutable
// message before it confirms it.
func (p *publisher) window(ctx context.Context, out []outgoing) error {
	confirms := make([]*amqp091.DeferredConfirmation, len(out))
	for i := range out {
		o := &out[i]
		var err error
		confirms[i], err = p.ch.PublishWithDeferredConfirm(o.exchange, o.key, o.mandatory, false, o.message)
		if err != nil {
			return p.failed(o, err)
		}
	}
	for i, c := range confirms {
		acked, err := c.WaitContext(ctx)
		if err != nil {
			return p.interrupted(ctx, &out[i])
		}
		if !acked {
			return p.failed(&out[i], nil)
		}
	}
	return p.unroutable()
}

func (p *publisher) unroutable() error {
	var err error
	for {
		select {
		case r := <-p.returns:
			err = errors.Join(err, fmt.Errorf("publish to %s: %w; declare the queue, or start a worker that consumes it", destination(r.Exchange, r.RoutingKey), broker.ErrNoQueue))
		default:
			return err
		}
	}
}

func (p *publisher) interrupted(ctx context.Context, o *outgoing) error {
	if b := p.session.blockedNow(); b != nil {
		return fmt.Errorf("publish to %s: RabbitMQ at %s takes no messages now (%s): %w", o.destination(), p.session.where, b.reason, context.Cause(ctx))
	}
	return fmt.Errorf("publish to %s: wait for the confirm: %w", o.destination(), context.Cause(ctx))
}

// failed explains a refused message or a closed channel.
func (p *publisher) failed(o *outgoing, err error) error {
	select {
	case e := <-p.closed:
		if e != nil {
			err = e
		}
	default:
	}
	doing := "publish to " + o.destination()
	if err == nil && !p.ch.IsClosed() {
		return fmt.Errorf("%s: %w: RabbitMQ at %s does not confirm it (the queue is full or failing)", doing, broker.ErrRefused, p.session.where)
	}
	if err == nil {
		err = amqp091.ErrClosed
	}
	if isCode(err, amqp091.NotFound) {
		// The exchange was deleted since it was declared; the next attempt
		// declares it again.
		p.session.forgetDeclared()
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrConnection, err)
	}
	return p.session.failed(doing, err)
}
