package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

// Declare makes sure that the queue exists and is bound to its exchange. A queue
// or exchange that exists is used as it is, whatever its arguments; a missing
// one is made as kombu makes it: a durable queue, a durable exchange, and the
// binding. q.Args are RabbitMQ's ("x-message-ttl") or kombu's options of a queue:
// expires and message_ttl in seconds, max_length, max_length_bytes, max_priority,
// auto_delete (a Broadcast queue is), and consumer_arguments, a map, for
// basic.consume ("x-priority").
func (b *Broker) Declare(ctx context.Context, q broker.Queue) error {
	s, err := b.subscribing.session(ctx)
	if err != nil {
		return fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	return b.declare(s, q)
}

func (b *Broker) declare(s *session, q broker.Queue) error {
	q = q.WithDefaults()
	if err := checkNames(q.Name, q.Exchange, q.RoutingKey); err != nil {
		return err
	}
	args, err := b.cfg.queueArgs(q)
	if err != nil {
		return err
	}
	autoDelete, _ := q.Args[argAutoDelete].(bool)
	if err := s.ensureQueue(q.Name, autoDelete, args); err != nil {
		return err
	}
	if err := s.ensureExchange(q.Exchange, q.Kind, durableExchange(q.Exchange)); err != nil {
		return err
	}
	return s.bind(q.Name, q.RoutingKey, q.Exchange)
}

func (s *session) bind(queue, key, exchange string) error {
	return s.try(func(ch *amqp091.Channel) error {
		if err := ch.QueueBind(queue, key, exchange, false, nil); err != nil {
			return s.failed(fmt.Sprintf("bind queue %s to exchange %s", queue, exchange), err)
		}
		return nil
	})
}

// ensureQueue makes a durable queue unless there is one of this name.
func (s *session) ensureQueue(name string, autoDelete bool, args amqp091.Table) error {
	look := func() error {
		return s.try(func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			return err
		})
	}
	create := func() error {
		return s.try(func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(name, true, autoDelete, false, false, args)
			return err
		})
	}
	if err := s.lookOrCreate(look, create); err != nil {
		return s.failed("declare queue "+name, err)
	}
	return nil
}

// durableExchange is kombu's rule: all exchanges are durable but those of remote
// control.
func durableExchange(name string) bool { return !strings.HasSuffix(name, ".pidbox") }

// ensureExchange declares a named exchange before its first use on a connection.
func (s *session) ensureExchange(name, kind string, durable bool) error {
	if name == "" {
		return nil
	}
	if kind == "" {
		kind = broker.Direct
	}
	look := func() error {
		return s.try(func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclarePassive(name, kind, durable, false, false, false, nil)
		})
	}
	create := func() error {
		return s.try(func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(name, kind, durable, false, false, false, nil)
		})
	}
	return s.once("exchange "+name, func() error {
		if err := s.lookOrCreate(look, create); err != nil {
			return s.failed("declare exchange "+name, err)
		}
		return nil
	})
}

// lookOrCreate creates what is missing. Somebody else may create it in between,
// with arguments of their own: then theirs is used.
func (s *session) lookOrCreate(look, create func() error) error {
	err := look()
	if !isCode(err, amqp091.NotFound) {
		return err
	}
	if err = create(); isCode(err, amqp091.PreconditionFailed) && look() == nil {
		return nil
	}
	return err
}

// declareOwn declares a durable queue that only Umbel declares.
func (s *session) declareOwn(name string, args amqp091.Table) error {
	if err := checkNames(name); err != nil {
		return err
	}
	return s.try(func(ch *amqp091.Channel) error {
		if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
			return s.failed("declare queue "+name, err)
		}
		return nil
	})
}

// try runs f on a channel of its own, which RabbitMQ closes when it refuses
// something.
func (s *session) try(f func(*amqp091.Channel) error) error {
	ch, err := s.channel()
	if err != nil {
		return err
	}
	if err := f(ch); err != nil {
		ch.Close() // does nothing when the server closed it
		return err
	}
	if err := ch.Close(); err != nil {
		return s.failed("close a channel", err)
	}
	return nil
}

// checkNames refuses what the library would close the connection for.
func checkNames(names ...string) error {
	for _, n := range names {
		if len(n) > maxShort {
			return fmt.Errorf("name %.40q...: RabbitMQ takes at most %d bytes", n, maxShort)
		}
	}
	return nil
}

// isCode reports whether the server answered with this AMQP error.
func isCode(err error, code int) bool {
	var e *amqp091.Error
	return errors.As(err, &e) && e.Server && e.Code == code
}
