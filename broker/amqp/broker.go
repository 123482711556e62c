// Package amqp is the RabbitMQ driver: kombu's topology, publisher confirms,
// acknowledgements, delays by bucket queues and dead letters by copies.
package amqp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/umbel-go/umbel/broker"
)

// Broker implements broker.Broker over RabbitMQ (AMQP 0-9-1). It holds up to
// three connections, dialled when they are first needed and again after a loss:
// one to publish, which RabbitMQ blocks while it is short of memory or disk, one
// to consume tasks, one for subscriptions and to look at queues. All messages are
// published with publisher confirms (Celery's broker_transport_options has them
// off by default). It is safe for concurrent use.
type Broker struct {
	cfg         Config
	endpoints   *endpoints
	publishing  *link
	consuming   *link
	subscribing *link
	publishers  *publishers
	now         func() time.Time
	browsing    sync.Mutex // held while dead letters are looked at
	delays      delays

	// life ends with Close; streams counts the goroutines that serve consumers.
	life    context.Context
	end     context.CancelCauseFunc
	streams sync.WaitGroup
}

var _ broker.Broker = (*Broker)(nil)

// New prepares a broker from a URL; it does not connect. An error says what is
// wrong with the configuration and never shows the password.
func New(cfg Config) (*Broker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	es, err := parseURLs(cfg)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		cfg:         cfg,
		endpoints:   es,
		publishing:  newLink(es, cfg.Name+" publish"),
		consuming:   newLink(es, cfg.Name+" consume"),
		subscribing: newLink(es, cfg.Name+" subscribe"),
		publishers:  newPublishers(),
		now:         time.Now,
	}
	b.life, b.end = context.WithCancelCause(context.Background())
	return b, nil
}

// Info describes the connection in use, without the password.
func (b *Broker) Info() broker.Info {
	e := b.endpoints.current()
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
