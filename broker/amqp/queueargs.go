package amqp

import (
	"fmt"
	"strconv"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

// Names in broker.Queue's Args. RabbitMQ's own begin with "x-"; the others are
// those of kombu's Queue.
const (
	argQueueType    = "x-queue-type"
	argMaxPriority  = "x-max-priority"
	argConsumerArgs = "consumer_arguments"
	argAutoDelete   = "auto_delete"
)

// kombuArgs are the options of kombu's Queue that become arguments, and their
// unit: kombu takes times in seconds, RabbitMQ in milliseconds.
var kombuArgs = map[string]struct {
	name string
	unit float64
}{
	"expires":          {"x-expires", 1000},
	"message_ttl":      {"x-message-ttl", 1000},
	"max_length":       {"x-max-length", 1},
	"max_length_bytes": {"x-max-length-bytes", 1},
	"max_priority":     {argMaxPriority, 1},
}

// queueArgs are the arguments with which a missing queue is created: its own, then
// the configured defaults. Integers are 32 bits wide where they fit, as py-amqp
// writes them.
func (c *Config) queueArgs(q broker.Queue) (amqp091.Table, error) {
	t := amqp091.Table{}
	for name, v := range q.Args {
		if name == argConsumerArgs || name == argAutoDelete {
			continue
		}
		value, err := toField(v)
		if k, known := kombuArgs[name]; known && err == nil {
			name = k.name
			value, err = scale(value, k.unit)
		}
		if err != nil {
			return nil, fmt.Errorf("arguments of queue %s: %s: %w", q.Name, name, err)
		}
		if value != nil {
			t[name] = value
		}
	}
	if _, given := t[argQueueType]; !given && c.QueueType == quorumQueue {
		t[argQueueType] = quorumQueue
	}
	if _, given := t[argMaxPriority]; !given && c.QueueMaxPriority > 0 && t[argQueueType] != quorumQueue {
		t[argMaxPriority] = int32(c.QueueMaxPriority)
	}
	if len(t) == 0 {
		return nil, nil
	}
	return t, nil
}

// scale multiplies a number by the unit and cuts it to an integer.
func scale(field any, unit float64) (any, error) {
	var n float64
	switch v := field.(type) {
	case nil:
		return nil, nil
	case int32:
		n = float64(v)
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return nil, fmt.Errorf("%v is not a number", v)
	}
	return toNumber(strconv.FormatInt(int64(n*unit), 10)), nil
}

// consumerArgs are those of basic.consume ("x-priority").
func consumerArgs(q broker.Queue) (amqp091.Table, error) {
	v, err := toField(q.Args[argConsumerArgs])
	if err != nil {
		return nil, fmt.Errorf("consumer arguments of queue %s: %w", q.Name, err)
	}
	switch t := v.(type) {
	case nil:
		return nil, nil
	case amqp091.Table:
		return t, nil
	}
	return nil, fmt.Errorf("consumer arguments of queue %s: %v is not a table", q.Name, v)
}
