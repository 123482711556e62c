package amqp

import (
	"context"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

// Queues reports on the named queues. RabbitMQ tells only the ready messages and
// the consumers over AMQP: Messages equals Ready, and Unacked and Oldest are left
// zero. Delayed counts what waits in the delay buckets that this Broker has used;
// those that only other processes used are unknown here. An unknown queue has
// zero figures; one that belongs to another connection alone has Consumers -1.
func (b *Broker) Queues(ctx context.Context, names ...string) ([]broker.QueueInfo, error) {
	s, err := b.subscribing.session(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at queues: %w", err)
	}
	infos := make([]broker.QueueInfo, len(names))
	for i, name := range names {
		if infos[i], err = s.queueInfo(name); err != nil {
			return nil, err
		}
		for _, bucket := range b.delays.of(name, b.now()) {
			delayed, err := s.queueInfo(bucket)
			if err != nil {
				return nil, err
			}
			infos[i].Delayed += delayed.Ready
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
	s, err := b.subscribing.session(ctx)
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
