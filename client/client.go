package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/protocol"
)

// DefaultQueue is Celery's task_default_queue.
const DefaultQueue = "celery"

// Config configures a Client. Broker is required.
type Config struct {
	Broker broker.Broker
	// Backend is where results are read and chords are announced; nil when
	// results are not wanted.
	Backend backend.Backend
	// Queue is where tasks go that neither their options nor Route send
	// elsewhere; "" means DefaultQueue.
	Queue string
	// Route names the queue for a task, "" for the default; nil routes nothing.
	Route func(task string) string
	// Name is the node name that we appear under in remote control and events;
	// "" means gen<pid>@<host>, as Python's.
	Name string
}

// Client sends tasks. See the package comment.
type Client struct {
	cfg   Config
	clock Clock

	mu       sync.Mutex // guards declared
	declared map[string]bool
}

// New returns a client. It does not connect.
func New(cfg Config) *Client {
	if cfg.Queue == "" {
		cfg.Queue = DefaultQueue
	}
	if cfg.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		cfg.Name = fmt.Sprintf("gen%d@%s", os.Getpid(), host)
	}
	return &Client{cfg: cfg, declared: map[string]bool{}}
}

// Clock is the client's Lamport clock, which a worker shares with it.
func (c *Client) Clock() *Clock { return &c.clock }

// Broker is the broker that the client was given.
func (c *Client) Broker() broker.Broker { return c.cfg.Broker }

// Backend is the result backend that the client was given; nil without one.
func (c *Client) Backend() backend.Backend { return c.cfg.Backend }

// Send publishes a signature of any kind and returns the handle of its result.
func (c *Client) Send(ctx context.Context, sig protocol.Signature, opts ...Option) (*Result, error) {
	plan, err := c.Plan(With(sig, opts...), nil, nil, Parent{})
	if err == nil {
		err = c.CarryOut(ctx, plan)
	}
	if err != nil {
		return nil, err
	}
	return c.result(plan), nil
}

// Publish sends many signatures together, in as few round trips as the broker
// allows, and keeps no handle.
func (c *Client) Publish(ctx context.Context, sigs ...protocol.Signature) error {
	var all protocol.Plan
	for _, sig := range sigs {
		plan, err := c.Plan(sig, nil, nil, Parent{})
		if err != nil {
			return err
		}
		all.Chords = append(all.Chords, plan.Chords...)
		all.Sends = append(all.Sends, plan.Sends...)
	}
	return c.CarryOut(ctx, all)
}

// Parent is the running task that a signature is applied from. Its ReplyTo makes
// the results of its children go to whoever waits for its own.
type Parent struct{ RootID, ID, ReplyTo string }

// Plan works out the messages of a signature without sending them: it prepends
// args, overrides options and makes the messages children of a running task.
func (c *Client) Plan(sig protocol.Signature, args []any, opts protocol.Object, parent Parent) (protocol.Plan, error) {
	return protocol.Apply(sig, args, opts, c.env(parent))
}

func (c *Client) env(parent Parent) protocol.Env {
	env := protocol.Env{
		NewID: uuid.NewString, Now: time.Now(), Origin: c.cfg.Name,
		RootID: parent.RootID, ParentID: parent.ID, ReplyTo: parent.ReplyTo,
	}
	if parent.ID == "" && c.cfg.Backend != nil {
		env.ReplyTo = c.cfg.Backend.ReplyTo()
	}
	return env
}

// CarryOut sends what a plan holds. After an error it may be called again with
// the same plan: the messages keep their ids.
func (c *Client) CarryOut(ctx context.Context, plan protocol.Plan) error {
	if len(plan.Sends) == 0 {
		return nil // an empty group
	}
	if err := c.announce(ctx, plan.Chords); err != nil {
		return err
	}
	msgs := make([]broker.Publishing, len(plan.Sends))
	for i, s := range plan.Sends {
		m, err := s.Task.Encode()
		if err != nil {
			return err
		}
		if msgs[i], err = c.route(ctx, s, m); err != nil {
			return err
		}
	}
	err := c.publish(ctx, msgs)
	if errors.Is(err, broker.ErrNoQueue) { // deleted since we declared it
		c.forget(plan.Sends)
	}
	if err != nil {
		return fmt.Errorf("send task %s[%s]: %w", plan.Sends[0].Task.Name, plan.Sends[0].Task.ID, err)
	}
	return nil
}

// forget makes the next sending declare the queues again.
func (c *Client) forget(sends []protocol.Send) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range sends {
		delete(c.declared, c.queueOf(s))
	}
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

func (c *Client) route(ctx context.Context, s protocol.Send, m *protocol.Message) (broker.Publishing, error) {
	exchange, key := s.Exchange, s.RoutingKey
	if exchange == "" {
		queue := c.queueOf(s)
		if err := c.declare(ctx, queue); err != nil {
			return broker.Publishing{}, fmt.Errorf("send task %s: declare queue %s: %w", s.Task.Name, queue, err)
		}
		key = queue
	}
	m.Properties.Exchange, m.Properties.RoutingKey = exchange, key
	return broker.Publishing{Exchange: exchange, RoutingKey: key, Message: m, Mandatory: true}, nil
}

// queueOf is where a task goes that names no exchange.
func (c *Client) queueOf(s protocol.Send) string {
	if s.Queue != "" {
		return s.Queue
	}
	if c.cfg.Route != nil {
		if q := c.cfg.Route(s.Task.Name); q != "" {
			return q
		}
	}
	return c.cfg.Queue
}

// declare makes sure, once per process, that a queue exists: without it RabbitMQ
// would drop the message.
func (c *Client) declare(ctx context.Context, queue string) error {
	c.mu.Lock()
	known := c.declared[queue]
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := c.retry(ctx, func() error { return c.cfg.Broker.Declare(ctx, broker.Queue{Name: queue}) }); err != nil {
		return err
	}
	c.mu.Lock()
	c.declared[queue] = true
	c.mu.Unlock()
	return nil
}

func (c *Client) publish(ctx context.Context, msgs []broker.Publishing) error {
	return c.retry(ctx, func() error { return c.cfg.Broker.Publish(ctx, msgs...) })
}

// retry follows Celery's task_publish_retry_policy: three more tries, 0, 0.2
// and 0.4 s apart.
func (c *Client) retry(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		lost := errors.Is(err, broker.ErrConnection) || errors.Is(err, broker.ErrReadOnly)
		if err == nil || !lost || try == 3 {
			return err
		}
		if !pause.For(ctx, time.Duration(try)*200*time.Millisecond) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// Resend publishes a task again where it came from: to the queue that its
// routing key names when the exchange was the default one, else through the same
// exchange. Celery's retries do the same.
func (c *Client) Resend(ctx context.Context, t *protocol.Task) error {
	next := *t
	next.Headers = t.Headers.Without("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason", "x-delivery-count")
	m, err := next.Encode()
	if err != nil {
		return err
	}
	p := broker.Publishing{Exchange: t.Exchange, RoutingKey: t.RoutingKey, Message: m, Mandatory: true}
	if err := c.publish(ctx, []broker.Publishing{p}); err != nil {
		return fmt.Errorf("send task %s[%s] again: %w", t.Name, t.ID, err)
	}
	return nil
}
