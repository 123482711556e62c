// Package amqp is the RabbitMQ driver: kombu's topology, publisher confirms,
// acknowledgements, delays by bucket queues and dead letters by copies.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

// Broker implements broker.Broker over RabbitMQ (AMQP 0-9-1). It holds up to
// three connections, dialled when they are first needed and again after a loss:
// one to publish and declare, one to consume tasks, one for subscriptions. It is
// safe for concurrent use.
type Broker struct {
	endpoint    *endpoint
	publishing  *link
	consuming   *link
	subscribing *link
	publishers  *publishers
	now         func() time.Time

	// life ends with Close; streams counts the goroutines that serve consumers.
	life    context.Context
	end     context.CancelCauseFunc
	streams sync.WaitGroup
}

var _ broker.Broker = (*Broker)(nil)

// New prepares a broker from a URL; it does not connect. An error says what is
// wrong with the configuration and never shows the password.
func New(cfg Config) (*Broker, error) {
	e, err := parseURL(cfg)
	if err != nil {
		return nil, err
	}
	name := cfg.Name
	if name == "" {
		name = "umbel"
	}
	b := &Broker{
		endpoint:    e,
		publishing:  newLink(e, name+" publish"),
		consuming:   newLink(e, name+" consume"),
		subscribing: newLink(e, name+" subscribe"),
		publishers:  newPublishers(),
		now:         time.Now,
	}
	b.life, b.end = context.WithCancelCause(context.Background())
	return b, nil
}

// Queues reports on the named queues. RabbitMQ tells only the ready messages and
// the consumers over AMQP: Unacked, Delayed and Oldest are left zero, and
// Messages equals Ready. An unknown queue has zero figures; one that belongs to
// another connection alone has Consumers -1.
func (b *Broker) Queues(ctx context.Context, names ...string) ([]broker.QueueInfo, error) {
	s, err := b.publishing.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at queues: %w", err)
	}
	infos := make([]broker.QueueInfo, len(names))
	for i, name := range names {
		if infos[i], err = s.queueInfo(name); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

func (s *session) queueInfo(name string) (broker.QueueInfo, error) {
	info := broker.QueueInfo{Name: name}
	if err := checkNames(name); err != nil {
		return info, err
	}
	err := s.try(func(ch *amqp091.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		info.Ready, info.Messages, info.Consumers = q.Messages, q.Messages, q.Consumers
		return err
	})
	switch {
	case err == nil, isCode(err, amqp091.NotFound):
		return info, nil
	case isCode(err, amqp091.ResourceLocked):
		info.Consumers = -1
		return info, nil
	}
	return info, s.failed("look at queue "+name, err)
}

// Purge deletes the ready messages of a queue and returns their number, 0 for a
// queue that does not exist. Parked and unacknowledged messages stay.
func (b *Broker) Purge(ctx context.Context, queue string) (int, error) {
	s, err := b.publishing.session(ctx)
	if err != nil {
		return 0, fmt.Errorf("purge queue %s: %w", queue, err)
	}
	if err := checkNames(queue); err != nil {
		return 0, err
	}
	n := 0
	err = s.try(func(ch *amqp091.Channel) (err error) {
		n, err = ch.QueuePurge(queue, false)
		return err
	})
	if err != nil && !isCode(err, amqp091.NotFound) {
		return 0, s.failed("purge queue "+queue, err)
	}
	return n, nil
}

// Info describes the connection, without the password.
func (b *Broker) Info() broker.Info {
	e := b.endpoint
	return broker.Info{
		Transport: "amqp", Host: e.host, Port: e.port, User: e.user, VirtualHost: e.vhost, URL: e.publicURL(),
	}
}

// Close ends all connections and waits for what ran on them. RabbitMQ gives
// unacknowledged messages to other consumers.
func (b *Broker) Close() error {
	b.end(broker.ErrClosed)
	err := errors.Join(b.consuming.close(), b.subscribing.close(), b.publishing.close())
	b.publishers.closing.Wait()
	b.streams.Wait()
	return err
}
