package amqp

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

// Native delayed delivery (kombu's native_delayed_delivery, Celery 5.5 and later)
// is where Python producers with quorum queues put tasks with a countdown: a
// cascade of 28 topic exchanges and queues, celery_delayed_27 to celery_delayed_0,
// level N holding a message for 2^N seconds if the bit of its delay is set in the
// routing key, one word a bit, and passing it on at once otherwise. Behind the
// last level the exchange celery_delayed_delivery hands it to the exchange of its
// queue. We publish nothing there; we declare it and bind to it, so that what
// Python puts there arrives.
const (
	nativeLevels   = 28
	nativeDelivery = "celery_delayed_delivery"
)

func nativeName(level int) string { return fmt.Sprintf("celery_delayed_%d", level) }

// nativeKey matches what the cascade leaves in front of the routing key.
var nativeKey = regexp.MustCompile(fmt.Sprintf(`^([01]\.){%d}`, nativeLevels))

// plainKey is the routing key as the producer of a delayed message gave it.
func plainKey(key string) string { return key[len(nativeKey.FindString(key)):] }

// joinNative binds a consumed queue to native delayed delivery: where the cascade
// exists, or the queue is one of those for which Celery makes it. As in Celery,
// only a lost connection is an error; what RabbitMQ refuses is logged.
func (b *Broker) joinNative(s *session, q broker.Queue) error {
	q = q.WithDefaults()
	args, err := b.cfg.queueArgs(q)
	if err != nil {
		return err
	}
	exists, err := s.hasExchange(nativeDelivery)
	if err == nil && !exists && args[argQueueType] == quorumQueue {
		err = s.declareNative(b.cfg.DelayQueueType)
		exists = err == nil
	}
	if exists {
		err = s.bindNative(q)
	}
	if err == nil || errors.Is(err, broker.ErrConnection) {
		return err
	}
	slog.Warn("native delayed delivery is not set up for a queue: tasks that Python sends to it with a countdown may not arrive", "queue", q.Name, "error", err)
	return nil
}

// declareNative declares the cascade as Celery does. What exists stays as it is.
func (s *session) declareNative(queueType string) error {
	for level := nativeLevels - 1; level >= 0; level-- {
		name, next := nativeName(level), nativeDelivery
		if level > 0 {
			next = nativeName(level - 1)
		}
		args := amqp091.Table{
			argQueueType:             queueType,
			"x-overflow":             "reject-publish",
			"x-message-ttl":          toNumber(strconv.Itoa(1000 << level)),
			"x-dead-letter-exchange": next,
		}
		if queueType == quorumQueue {
			args["x-dead-letter-strategy"] = "at-least-once"
		}
		for _, exchange := range []string{name, next} {
			if err := s.ensureExchange(exchange, broker.Topic, true); err != nil {
				return err
			}
		}
		if err := s.ensureQueue(name, false, args); err != nil {
			return err
		}
		higher := strings.Repeat("*.", nativeLevels-1-level)
		if err := s.bind(name, higher+"1.#", name); err != nil {
			return err
		}
		if err := s.bindExchange(next, higher+"0.#", name); err != nil {
			return err
		}
	}
	return nil
}

// bindNative leads what left the cascade into the queue. A direct exchange cannot
// take it: its routing key is never a queue's.
func (s *session) bindNative(q broker.Queue) error {
	direct, err := s.isDirect(q)
	if err != nil || direct {
		return err
	}
	key := q.RoutingKey
	if !strings.HasPrefix(key, "#") {
		key = "#." + key
	}
	if err := s.bindExchange(q.Exchange, key, nativeDelivery); err != nil {
		return err
	}
	return s.bind(q.Name, key, q.Exchange)
}

// isDirect asks RabbitMQ, since an exchange that Python declared may be of another
// kind than q says. RabbitMQ tells only when it is declared with a wrong one.
func (s *session) isDirect(q broker.Queue) (bool, error) {
	if q.Kind != broker.Direct {
		return false, nil
	}
	err := s.try(func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(q.Exchange, broker.Direct, durableExchange(q.Exchange), false, false, false, nil)
	})
	switch {
	case err == nil:
		return true, nil
	case isCode(err, amqp091.PreconditionFailed):
		return false, nil
	}
	return false, s.failed("look at exchange "+q.Exchange, err)
}

func (s *session) hasExchange(name string) (bool, error) {
	err := s.try(func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclarePassive(name, broker.Direct, true, false, false, false, nil)
	})
	switch {
	case err == nil:
		return true, nil
	case isCode(err, amqp091.NotFound):
		return false, nil
	}
	return false, s.failed("look at exchange "+name, err)
}

func (s *session) bindExchange(destination, key, source string) error {
	return s.try(func(ch *amqp091.Channel) error {
		if err := ch.ExchangeBind(destination, key, source, false, nil); err != nil {
			return s.failed(fmt.Sprintf("bind exchange %s to exchange %s", destination, source), err)
		}
		return nil
	})
}
