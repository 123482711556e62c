package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// CarryOut sends what a plan holds. After an error it may be called again with
// the same plan: the messages keep their ids.
func (c *Client) CarryOut(ctx context.Context, plan protocol.Plan) error {
	if len(plan.Sends) == 0 {
		return nil // an empty group
	}
	if err := c.save(ctx, plan.Groups); err != nil {
		return err
	}
	if err := c.announce(ctx, plan.Chords); err != nil {
		return err
	}
	if err := c.send(ctx, plan.Sends); err != nil {
		return fmt.Errorf("send task %s[%s]: %w", plan.Sends[0].Task.Name, plan.Sends[0].Task.ID, err)
	}
	return nil
}

// save writes down the groups that chords are joined by.
func (c *Client) save(ctx context.Context, groups []protocol.GroupSave) error {
	for _, g := range groups {
		if err := handle(c.cfg.Backend, g.Tuple).Save(ctx); err != nil {
			return fmt.Errorf("send chord: %w", err)
		}
	}
	return nil
}

// announce writes the chords' sizes before any of their parts can arrive.
func (c *Client) announce(ctx context.Context, chords []protocol.ChordStart) error {
	if len(chords) == 0 {
		return nil
	}
	ch, ok := c.cfg.Backend.(backend.Chorder)
	if !ok {
		return fmt.Errorf("send chord: %w: use a Redis result backend", backend.ErrUnsupported)
	}
	for _, s := range chords {
		if err := ch.StartChord(ctx, s); err != nil {
			return fmt.Errorf("send chord: announce group %s: %w", s.Group, err)
		}
	}
	return nil
}

// send publishes all tasks together.
func (c *Client) send(ctx context.Context, sends []protocol.Send) error {
	var extra protocol.Object
	if c.cfg.Headers != nil {
		extra = c.cfg.Headers(ctx)
	}
	msgs := make([]broker.Publishing, len(sends), len(sends)+1)
	queues := make([]string, len(sends))
	for i, s := range sends {
		var err error
		if msgs[i], queues[i], err = c.address(s, extra); err != nil {
			return err
		}
	}
	events, err := c.sentEvents(sends, msgs, queues)
	if err != nil {
		return err
	}
	return c.deliver(ctx, append(msgs, events...), queues)
}

// deliver publishes messages to queues that it declares first. A queue that was
// deleted since we declared it is declared again, once; what went to other
// queues may then arrive twice.
func (c *Client) deliver(ctx context.Context, msgs []broker.Publishing, queues []string) error {
	if err := c.declareAll(ctx, queues); err != nil {
		return err
	}
	err := c.publish(ctx, msgs)
	if !errors.Is(err, broker.ErrNoQueue) {
		return err
	}
	c.forget(queues)
	if err := c.declareAll(ctx, queues); err != nil {
		return err
	}
	return c.publish(ctx, msgs)
}

// address encodes a task for where it goes; queue is "" when that is an
// exchange.
func (c *Client) address(s protocol.Send, extra protocol.Object) (p broker.Publishing, queue string, err error) {
	to := Destination{Queue: s.Queue, Exchange: s.Exchange, RoutingKey: s.RoutingKey}
	task := *s.Task
	if c.cfg.Route != nil {
		route := c.cfg.Route(cmp.Or(s.RouteName, task.Name))
		if to.Queue == "" && to.Exchange == "" {
			to = route
		}
		if task.Priority == nil {
			task.Priority = route.Priority
		}
	}
	if to.Exchange == "" { // the default exchange: the key names the queue
		if to.Queue == "" {
			to.Queue = c.cfg.Queue
		}
		queue, to.RoutingKey = to.Queue, to.Queue
	}
	task.Headers = under(task.Headers, extra)
	m, err := task.Encode()
	if err != nil {
		return p, "", err
	}
	m.Properties.Exchange, m.Properties.RoutingKey = to.Exchange, to.RoutingKey
	return broker.Publishing{Exchange: to.Exchange, RoutingKey: to.RoutingKey, Message: m, Mandatory: true}, queue, nil
}

// under adds what the task's own headers do not have.
func under(own, extra protocol.Object) protocol.Object {
	if len(extra) == 0 {
		return own
	}
	out := own[:len(own):len(own)]
	for _, f := range extra {
		if _, given := own.Get(f.Name); !given {
			out = append(out, f)
		}
	}
	return out
}

// declareAll makes sure, once per process, that queues exist: without them
// RabbitMQ would drop the messages.
func (c *Client) declareAll(ctx context.Context, queues []string) error {
	last := ""
	for _, q := range queues {
		if q == last || q == "" {
			continue
		}
		if err := c.declare(ctx, q); err != nil {
			return err
		}
		last = q
	}
	return nil
}

func (c *Client) declare(ctx context.Context, queue string) error {
	c.mu.Lock()
	known := c.declared[queue]
	c.mu.Unlock()
	if known {
		return nil
	}
	err := c.cfg.Retry.do(ctx, func() error { return c.cfg.Broker.Declare(ctx, broker.Queue{Name: queue}) })
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.declared[queue] = true
	c.mu.Unlock()
	return nil
}

// forget makes the next sending declare the queues again.
func (c *Client) forget(queues []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range queues {
		delete(c.declared, q)
	}
}

func (c *Client) publish(ctx context.Context, msgs []broker.Publishing) error {
	return c.cfg.Retry.do(ctx, func() error { return c.cfg.Broker.Publish(ctx, msgs...) })
}
