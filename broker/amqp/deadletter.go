package amqp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// Dead-letter queues are durable classic queues named umbel.dead.<queue>. A
// message in one is a copy of the dead one with these headers beside its own.
const (
	deadPrefix       = "umbel.dead."
	headerDeadID     = "umbel-dead-id"
	headerDeadReason = "umbel-dead-reason"
	headerDeadQueue  = "umbel-dead-queue"
	headerDeadTime   = "umbel-dead-time" // ISO 8601, UTC
)

var _ broker.DeadLetters = (*Broker)(nil)

// bury publishes a confirmed copy into the queue's dead letters.
func (b *Broker) bury(ctx context.Context, queue string, message amqp091.Publishing, reason string) error {
	s, err := b.publishing.session(ctx)
	if err != nil {
		return err
	}
	if err := s.unblocked(ctx); err != nil {
		return err
	}
	message.Headers[headerDeadID] = rand.Text()
	message.Headers[headerDeadReason] = reason
	message.Headers[headerDeadQueue] = queue
	message.Headers[headerDeadTime] = protocol.FormatTime(b.now())
	name := deadPrefix + queue
	out := []outgoing{{key: name, mandatory: true, message: message}}
	if err := s.ensureDead(name); err != nil {
		return err
	}
	err = b.publishOn(ctx, s, out)
	if !errors.Is(err, broker.ErrNoQueue) {
		return err
	}
	s.forgetDeclared() // somebody deleted the queue
	if err := s.ensureDead(name); err != nil {
		return err
	}
	return b.publishOn(ctx, s, out)
}

// ensureDead declares a dead-letter queue once on this connection. Its type is
// said explicitly: a quorum queue, which may be the server's default, drops what
// was looked at too often.
func (s *session) ensureDead(name string) error {
	if err := checkNames(name); err != nil {
		return err
	}
	return s.once("queue "+name, func() error {
		return s.ensureQueue(name, false, amqp091.Table{argQueueType: classicQueue})
	})
}

// ListDead implements broker.DeadLetters. It looks at all letters of the queue,
// one round trip each, and leaves them where they are; meanwhile they are hidden
// from other processes that look.
func (b *Broker) ListDead(ctx context.Context, queue string, max int) ([]broker.DeadLetter, error) {
	var newest []amqp091.Delivery
	err := b.eachDead(ctx, queue, func(d amqp091.Delivery) error {
		if newest = append(newest, d); len(newest) > max {
			newest = slices.Delete(newest, 0, 1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the dead letters of queue %s: %w", queue, err)
	}
	letters := make([]broker.DeadLetter, 0, len(newest))
	for _, d := range slices.Backward(newest) {
		letters = append(letters, deadLetter(queue, d))
	}
	return letters, nil
}

func deadLetter(queue string, d amqp091.Delivery) broker.DeadLetter {
	letter := broker.DeadLetter{ID: deadID(&d), Queue: queue}
	letter.Reason, _ = d.Headers[headerDeadReason].(string)
	if text, ok := d.Headers[headerDeadTime].(string); ok {
		letter.Time, _ = protocol.ParseTime(text)
	}
	d.Headers = withoutTrail(d.Headers)
	d.RoutingKey = queue
	letter.Message = decode(&d)
	return letter
}

// deadID names a letter; one that somebody else put there has its task's id.
func deadID(d *amqp091.Delivery) string {
	if id, ok := d.Headers[headerDeadID].(string); ok {
		return id
	}
	return d.CorrelationId
}

// ReplayDead implements broker.DeadLetters: a confirmed copy in the queue for
// every letter, then its acknowledgement. If the connection breaks in between, a
// letter may be in both places.
func (b *Broker) ReplayDead(ctx context.Context, queue string, ids ...string) (int, error) {
	var batch []amqp091.Delivery
	replayed := 0
	flush := func() error {
		out := make([]outgoing, len(batch))
		for i := range batch {
			out[i] = outgoing{key: queue, mandatory: true, message: copyOf(&batch[i])}
		}
		if err := b.publish(ctx, out); err != nil {
			return err
		}
		for _, d := range batch {
			if err := d.Ack(false); err != nil {
				return err
			}
			replayed++
		}
		batch = batch[:0]
		return nil
	}
	err := b.eachDead(ctx, queue, func(d amqp091.Delivery) error {
		if wantedDead(&d, ids) {
			batch = append(batch, d)
		}
		if len(batch) < confirmWindow {
			return nil
		}
		return flush()
	}, flush)
	if err != nil {
		return replayed, fmt.Errorf("replay dead letters of queue %s: %w", queue, err)
	}
	return replayed, nil
}

// DropDead implements broker.DeadLetters.
func (b *Broker) DropDead(ctx context.Context, queue string, ids ...string) (int, error) {
	if len(ids) == 0 {
		return b.Purge(ctx, deadPrefix+queue)
	}
	dropped := 0
	err := b.eachDead(ctx, queue, func(d amqp091.Delivery) error {
		if !wantedDead(&d, ids) {
			return nil
		}
		dropped++
		return d.Ack(false)
	})
	if err != nil {
		return dropped, fmt.Errorf("drop dead letters of queue %s: %w", queue, err)
	}
	return dropped, nil
}

func wantedDead(d *amqp091.Delivery, ids []string) bool {
	return len(ids) == 0 || slices.Contains(ids, deadID(d))
}

// eachDead calls see for every letter that is there now, the oldest first, and
// then the functions of end. A letter that none of them acknowledges returns to
// its place when the channel closes.
func (b *Broker) eachDead(ctx context.Context, queue string, see func(amqp091.Delivery) error, end ...func() error) error {
	b.browsing.Lock()
	defer b.browsing.Unlock()
	if err := checkNames(deadPrefix + queue); err != nil {
		return err
	}
	s, err := b.consuming.session(ctx)
	if err != nil {
		return err
	}
	err = s.try(func(ch *amqp091.Channel) error {
		if err := s.getAll(ctx, ch, deadPrefix+queue, see); err != nil {
			return err
		}
		for _, f := range end {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	})
	if isCode(err, amqp091.NotFound) {
		return nil
	}
	return err
}

// getAll calls see for as many messages as the queue holds when it begins.
func (s *session) getAll(ctx context.Context, ch *amqp091.Channel, queue string, see func(amqp091.Delivery) error) error {
	for seen, all := 0, 1; seen < all; seen++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d, ok, err := ch.Get(queue, false)
		if err != nil {
			return s.failed("read queue "+queue, err)
		}
		if !ok {
			return nil
		}
		if seen == 0 {
			all = 1 + int(d.MessageCount)
		}
		if err := see(d); err != nil {
			return err
		}
	}
	return nil
}
