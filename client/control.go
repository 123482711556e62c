package client

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// ControlOptions say whom a command addresses and how long to wait.
type ControlOptions struct {
	// Destination are node names; empty means all.
	Destination []string
	// Timeout is how long replies are awaited; 0 means 1 s, as in Celery.
	Timeout time.Duration
	// Limit ends the wait after so many replies; 0 means the number of
	// destinations, or none.
	Limit int
}

// Inspect sends a remote control command and collects the replies by node name.
// A worker's own error is its reply {"error": ...}. No reply at all is an empty
// map, not an error.
func (c *Client) Inspect(ctx context.Context, method string, args protocol.Object, opts ControlOptions) (map[string]protocol.Raw, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = time.Second
	}
	if opts.Limit == 0 {
		opts.Limit = len(opts.Destination)
	}
	oid, ticket := uuid.NewString(), uuid.NewString()
	sub, err := c.cfg.Broker.Subscribe(ctx, broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: oid,
		Queue: protocol.ReplyQueue(oid), TTL: protocol.ControlTTL, Expires: protocol.ControlExpires,
	})
	if err != nil {
		return nil, fmt.Errorf("remote control %s: open reply queue: %w", method, err)
	}
	defer sub.Close()
	req := protocol.ControlRequest{Method: method, Arguments: args, Destination: opts.Destination, Ticket: ticket, ReplyTo: oid}
	if err := c.command(ctx, req); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	replies := map[string]protocol.Raw{}
	for opts.Limit == 0 || len(replies) < opts.Limit {
		m, err := sub.Next(wait)
		if wait.Err() != nil {
			return replies, ctx.Err()
		}
		if err != nil {
			return replies, fmt.Errorf("remote control %s: read replies: %w", method, err)
		}
		c.keep(ctx, replies, m, ticket)
	}
	return replies, nil
}

func (c *Client) keep(ctx context.Context, replies map[string]protocol.Raw, m *protocol.Message, ticket string) {
	r, err := protocol.DecodeControlReply(m)
	if err != nil {
		slog.WarnContext(ctx, "ignored a remote control reply", "error", err)
		return
	}
	if r.Ticket != ticket {
		return
	}
	c.clock.Adjust(r.Clock)
	if _, twice := replies[r.Node]; twice {
		slog.WarnContext(ctx, "two workers answer under one node name; give one of them another with -n (worker.Config.Name)", "node", r.Node)
	}
	replies[r.Node] = r.Value
}

// Broadcast sends a remote control command without asking for replies, to the
// nodes given or to all.
func (c *Client) Broadcast(ctx context.Context, method string, args protocol.Object, destination ...string) error {
	return c.command(ctx, protocol.ControlRequest{Method: method, Arguments: args, Destination: destination})
}

func (c *Client) command(ctx context.Context, req protocol.ControlRequest) error {
	req.Clock = c.clock.Forward()
	m, err := req.Encode()
	if err != nil {
		return err
	}
	p := broker.Publishing{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Message: m}
	if err := c.publish(ctx, []broker.Publishing{p}); err != nil {
		return fmt.Errorf("remote control %s: %w", req.Method, err)
	}
	return nil
}
