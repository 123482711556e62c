package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// broadcastTTL bounds the life of a fanout queue without a consumer: its
	// name may be one that nobody uses again.
	broadcastTTL = 24 * time.Hour
	// pouredTTL is how long after the first of a queue's consumers the last one
	// may pour the same message.
	pouredTTL = 5 * time.Minute
)

// pourScript puts a message of a fanout exchange into the queue's list, once.
//
//	KEYS: umbel:poured:<queue>:<delivery tag>, list
//	ARGV: envelope, milliseconds that the first key lives, and the list
//	Atomic. Workers of both languages may read the list. The SET comes first: it
//	fails when the server has no memory, and nothing has happened then.
var pourScript = redis.NewScript(2, `
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[2]) then return end
redis.call('LPUSH', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
`)

// feed starts to put what a fanout exchange sends into the list of the queue,
// where it is claimed as everything else: it can be parked, returned and
// dead-lettered, and survives its consumer. Several consumers of one queue share
// its messages, each of which is there once, as on RabbitMQ; who wants a copy
// for every worker gives every worker a queue. On Redis such an exchange is a
// channel: what is sent while nobody listens is lost. The channel returned has
// nil once the subscription is active, or why it cannot be; it is nil for other
// queues. Called with c.mu held.
func (c *consumer) feed(q broker.Queue) <-chan error {
	if !isFanout(q.Exchange, q.Kind) {
		return nil
	}
	ctx, cancel := context.WithCancel(c.open)
	c.feeders[q.Name] = cancel
	active := make(chan error, 1)
	var once sync.Once
	answer := func(err error) { once.Do(func() { active <- err }) }
	opts := broker.SubscribeOptions{Exchange: q.Exchange, Kind: broker.Fanout, RoutingKey: q.RoutingKey, Queue: q.Name,
		DurableQueue: true, Expires: broadcastTTL}
	if opts.RoutingKey == "" {
		opts.RoutingKey = "#"
	}
	c.wg.Go(func() {
		err := broker.Follow(ctx, c.b, opts, func(err error) {
			if err == nil {
				answer(nil)
			}
		}, func(m *protocol.Message) { c.pour(ctx, q.Name, m) })
		answer(err)
		if ctx.Err() == nil && !errors.Is(err, broker.ErrClosed) {
			slog.ErrorContext(ctx, "fanout exchange is no longer consumed", "exchange", q.Exchange, "queue", q.Name, "error", err)
		}
	})
	return active
}

// pour puts a message into the queue's list. The subscription has no copy to try
// again with when the process ends, so that an outage is waited for.
func (c *consumer) pour(ctx context.Context, queue string, m *protocol.Message) {
	p, element := m.Properties, m.Body
	tag := cmp.Or(p.DeliveryTag, uuid.NewString())
	if m.Malformed == "" {
		envelope, err := appendEnvelope(nil, m, p.Exchange, p.RoutingKey, tag)
		if err != nil {
			slog.ErrorContext(ctx, "message of a fanout exchange dropped", "queue", queue, "error", err)
			return
		}
		element = envelope
	}
	k := c.b.keys
	var retry broker.Backoff
	for {
		err := c.b.with(ctx, "fill "+queue, func(conn redis.Conn) error {
			_, err := pourScript.Do(conn, k.poured(queue, tag), k.listFor(queue, p.Priority), element,
				pouredTTL.Milliseconds(), broadcastTTL.Milliseconds())
			return err
		})
		if err == nil || ctx.Err() != nil {
			return
		}
		slog.WarnContext(ctx, "message of a fanout exchange not queued, trying again", "queue", queue, "error", err)
		if !retry.Wait(ctx) {
			return
		}
	}
}
