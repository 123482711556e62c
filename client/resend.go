package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// Resend publishes a task again where it came from: to the queue that its
// routing key names when the exchange was the default one, else through the same
// exchange, without what RabbitMQ noted about former deaths. Celery's retries do
// the same.
func (c *Client) Resend(ctx context.Context, t *protocol.Task) error {
	next := *t
	next.Headers = nil
	for _, h := range t.Headers {
		if !diedOf(h.Name) {
			next.Headers = append(next.Headers, h)
		}
	}
	if key, delayed := cutDelay(next.RoutingKey); delayed {
		next.Exchange, next.RoutingKey = "", key
	}
	if !next.Expires.IsZero() {
		next.Expiration = strconv.FormatInt(max(0, time.Until(next.Expires).Milliseconds()), 10)
	}
	m, err := next.Encode()
	if err != nil {
		return err
	}
	queue := ""
	if next.Exchange == "" {
		queue = next.RoutingKey
	}
	queues := []string{queue}
	msgs := []broker.Publishing{{Exchange: next.Exchange, RoutingKey: next.RoutingKey, Message: m, Mandatory: true}}
	events, err := c.sentEvents([]protocol.Send{{Task: &next}}, msgs, queues)
	if err != nil {
		return err
	}
	if err := c.deliver(ctx, append(msgs, events...), queues); err != nil {
		return fmt.Errorf("send task %s[%s] again: %w", t.Name, t.ID, err)
	}
	return nil
}

// diedOf reports whether RabbitMQ wrote a header when it dead-lettered or
// redelivered the message.
func diedOf(header string) bool {
	return header == "x-death" || header == "x-delivery-count" ||
		strings.HasPrefix(header, "x-first-death-") || strings.HasPrefix(header, "x-last-death-")
}

// delayBits is how many bits of delay Celery's native delayed delivery writes
// before a routing key, each followed by a dot.
const delayBits = 28

// cutDelay removes those bits: the delay is over, and the key would lead through
// it again.
func cutDelay(key string) (rest string, delayed bool) {
	const n = 2 * delayBits
	if len(key) < n {
		return key, false
	}
	for i := 0; i < n; i += 2 {
		if key[i] != '0' && key[i] != '1' || key[i+1] != '.' {
			return key, false
		}
	}
	return key[n:], true
}
