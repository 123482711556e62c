package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// eventExchange is a topic exchange on AMQP; on Redis Celery makes it a
	// fanout one with the topic in the channel's name.
	eventExchange = protocol.EventExchange
	// replyTTL bounds the life of a reply list whose reader has gone: nobody
	// else would ever delete it.
	replyTTL = time.Minute
	// maxTransaction and maxPush bound how long one publish keeps Redis from
	// others.
	maxTransaction = 500
	maxPush        = 1000
)

func isFanout(exchange, kind string) bool { return kind == broker.Fanout || exchange == eventExchange }

// Publish sends all messages in one transaction (in several, if they are more
// than 500 writes): after an error that says why, none of a transaction's
// messages was sent; after ErrConnection they may have been.
func (b *Broker) Publish(ctx context.Context, msgs ...broker.Publishing) error {
	if slices.ContainsFunc(msgs, func(p broker.Publishing) bool { return p.Exchange == protocol.ControlExchange }) {
		if err := b.rebindReplies(ctx); err != nil {
			return err
		}
	}
	return b.with(ctx, "publish", func(conn redis.Conn) error {
		tables, err := b.table(conn, lookups(msgs))
		if err != nil {
			return err
		}
		cmds, err := b.writes(msgs, tables)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(cmds, maxTransaction) {
			if _, err := transaction(conn, part); err != nil {
				return err
			}
		}
		return nil
	})
}

// lookups are the exchanges whose tables the messages need.
func lookups(msgs []broker.Publishing) []string {
	var out []string
	for _, p := range msgs {
		if p.Exchange != "" && !isFanout(p.Exchange, p.Kind) && !slices.Contains(out, p.Exchange) {
			out = append(out, p.Exchange)
		}
	}
	return out
}

// writes turns messages into commands; neighbours that go to one list share an
// LPUSH.
func (b *Broker) writes(msgs []broker.Publishing, tables map[string][]binding) ([]command, error) {
	var cmds []command
	for _, p := range msgs {
		envelope, err := appendEnvelope(nil, p.Message, p.Exchange, p.RoutingKey, uuid.NewString())
		if err != nil {
			return nil, err
		}
		if isFanout(p.Exchange, p.Kind) {
			cmds = append(cmds, command{"PUBLISH", []any{b.keys.channel(p.Exchange, p.RoutingKey), envelope}})
			continue
		}
		queues := []string{p.RoutingKey}
		if p.Exchange != "" {
			queues = route(tables[p.Exchange], p.RoutingKey)
		}
		if len(queues) == 0 && b.cfg.DeadletterQueue != "" {
			queues = []string{b.cfg.DeadletterQueue}
		}
		if len(queues) == 0 && p.Mandatory {
			return nil, fmt.Errorf("%w: exchange %q, routing key %q", broker.ErrNoQueue, p.Exchange, p.RoutingKey)
		}
		for _, queue := range queues {
			key := b.keys.listFor(queue, p.Message.Properties.Priority)
			cmds = appendPush(cmds, key, envelope)
			if p.Exchange == protocol.ReplyExchange {
				cmds = append(cmds, command{"PEXPIRE", []any{key, replyTTL.Milliseconds()}})
			}
		}
	}
	return cmds, nil
}

func appendPush(cmds []command, key string, envelope []byte) []command {
	if n := len(cmds); n > 0 && cmds[n-1].name == "LPUSH" && cmds[n-1].args[0] == key && len(cmds[n-1].args) <= maxPush {
		cmds[n-1].args = append(cmds[n-1].args, envelope)
		return cmds
	}
	return append(cmds, command{"LPUSH", []any{key, envelope}})
}
