// Package monitortest stands in for a broker and its workers in tests of the
// monitor, its API and its pages.
package monitortest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// Broker carries events from Send to its subscribers and reports queues. Its
// zero value is ready; other methods of broker.Broker panic. It is safe for
// concurrent use.
type Broker struct {
	broker.Broker
	// URL is what Info tells; "" means redis://fake:6379/0.
	URL string

	mu     sync.Mutex
	subs   map[*subscription]bool
	queues map[string]broker.QueueInfo
	broken error
}

// Info tells of a Redis.
func (b *Broker) Info() broker.Info {
	url := b.URL
	if url == "" {
		url = "redis://fake:6379/0"
	}
	return broker.Info{Transport: "redis", Host: "fake", Port: 6379, VirtualHost: "0", URL: url}
}

// SetQueue sets the figures of a queue.
func (b *Broker) SetQueue(q broker.QueueInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues == nil {
		b.queues = map[string]broker.QueueInfo{}
	}
	b.queues[q.Name] = q
}

// Queues reports what SetQueue set.
func (b *Broker) Queues(_ context.Context, names ...string) ([]broker.QueueInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, b.broken
	}
	out := make([]broker.QueueInfo, len(names))
	for i, name := range names {
		out[i] = broker.QueueInfo{Name: name, Consumers: -1}
		if q, ok := b.queues[name]; ok {
			out[i] = q
		}
	}
	return out, nil
}

// Break cuts all connections and refuses new ones until Mend.
func (b *Broker) Break() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = fmt.Errorf("dial fake: %w", broker.ErrConnection)
	for s := range b.subs {
		close(s.cut)
		delete(b.subs, s)
	}
}

// Mend lets connections in again.
func (b *Broker) Mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = nil
}

// Subscribers is how many subscriptions are open.
func (b *Broker) Subscribers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs)
}

// Send delivers events in one message to all subscribers.
func (b *Broker) Send(events ...*protocol.Event) error {
	m, _, err := protocol.EncodeEvents(events...)
	if err != nil {
		return err
	}
	b.SendBody(m.Body)
	return nil
}

// SendBody delivers the body of a message to all subscribers.
func (b *Broker) SendBody(body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		s.messages <- protocol.NewMessage(nil, body)
	}
}

// Subscribe opens a subscription to everything that is sent.
func (b *Broker) Subscribe(_ context.Context, opts broker.SubscribeOptions) (broker.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return nil, b.broken
	}
	if opts.Exchange != protocol.EventExchange {
		return nil, fmt.Errorf("monitortest: no exchange %q", opts.Exchange)
	}
	if b.subs == nil {
		b.subs = map[*subscription]bool{}
	}
	s := &subscription{broker: b, messages: make(chan *protocol.Message, 1<<16), cut: make(chan struct{})}
	b.subs[s] = true
	return s, nil
}

type subscription struct {
	broker   *Broker
	messages chan *protocol.Message
	cut      chan struct{}
}

// Next returns the next message.
func (s *subscription) Next(ctx context.Context) (*protocol.Message, error) {
	select {
	case m := <-s.messages:
		return m, nil
	case <-s.cut:
		return nil, fmt.Errorf("read fake: %w", broker.ErrConnection)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close ends the subscription.
func (s *subscription) Close() error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	delete(s.broker.subs, s)
	return nil
}

// Control answers for workers. Its zero value answers nothing. It is safe for
// concurrent use.
type Control struct {
	mu      sync.Mutex
	answers map[string]map[string]protocol.Raw // by method and worker
	sent    []Command
}

// Command is a command that was sent.
type Command struct {
	Method      string
	Arguments   protocol.Object
	Destination []string
}

// Answer sets what a worker answers to a method.
func (c *Control) Answer(worker, method string, answer protocol.Raw) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = map[string]map[string]protocol.Raw{}
	}
	if c.answers[method] == nil {
		c.answers[method] = map[string]protocol.Raw{}
	}
	c.answers[method][worker] = answer
}

// Sent returns the commands sent so far with the method.
func (c *Control) Sent(method string) []Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Command
	for _, cmd := range c.sent {
		if cmd.Method == method {
			out = append(out, cmd)
		}
	}
	return out
}

// Inspect returns what Answer set.
func (c *Control) Inspect(_ context.Context, method string, args protocol.Object, destination []string, _ time.Duration) (map[string]protocol.Raw, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, Command{method, args, destination})
	out := map[string]protocol.Raw{}
	for worker, answer := range c.answers[method] {
		if len(destination) == 0 || slices.Contains(destination, worker) {
			out[worker] = answer
		}
	}
	return out, nil
}

// Broadcast remembers the command.
func (c *Control) Broadcast(_ context.Context, method string, args protocol.Object, destination ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, Command{method, args, destination})
	return nil
}
