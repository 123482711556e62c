package client

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
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
	// Route says where a task goes whose options name no destination (Celery
	// task_routes); nil routes nothing.
	Route func(task string) Destination
	// Retry is how often a publish is tried again when the broker cannot be
	// reached; nil means as Celery does.
	Retry *Retry
	// Headers returns headers for every task that is sent with ctx, such as a
	// traceparent. A header that the signature itself gives stands above them.
	Headers func(ctx context.Context) protocol.Object
	// SendEvents sends a task-sent event with every task (Celery
	// task_send_sent_event).
	SendEvents bool
	// LegacyValues writes argument values that JSON does not know, such as times,
	// in the form that kombu before 5.3 reads, and the sizes of chords where
	// workers of Celery 5.0 and older look for them.
	LegacyValues bool
	// Name is the node name that we appear under in remote control and events;
	// "" means gen<pid>@<host>, as Python's.
	Name string
}

// Destination is where Config.Route sends a task. What is zero is left to the
// defaults.
type Destination struct {
	Queue string
	// Exchange and RoutingKey replace Queue when Exchange is set.
	Exchange, RoutingKey string
	// Priority is for tasks whose options give none.
	Priority *int
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
	if cfg.Retry == nil {
		cfg.Retry = &celeryRetry
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
// Under the context of a running task (WithParent) it sends children of that
// task.
func (c *Client) Send(ctx context.Context, sig protocol.Signature, opts ...Option) (*Result, error) {
	results, err := c.SendAll(ctx, With(sig, opts...))
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// SendAll publishes many signatures in as few round trips as the broker allows
// and returns the handles of their results in order. After an error some of the
// tasks may have been sent.
func (c *Client) SendAll(ctx context.Context, sigs ...protocol.Signature) ([]*Result, error) {
	parent := parentOf(ctx)
	env := c.env(parent)
	env.ReplyTo = c.replyTo() // whoever sends waits, a running task too
	var all protocol.Plan
	results := make([]*Result, len(sigs))
	for i, sig := range sigs {
		plan, err := protocol.Apply(sig, nil, nil, env)
		if err != nil {
			return nil, err
		}
		all.Groups = append(all.Groups, plan.Groups...)
		all.Chords = append(all.Chords, plan.Chords...)
		all.Sends = append(all.Sends, plan.Sends...)
		if results[i], err = c.result(plan); err != nil {
			return nil, err
		}
	}
	if err := c.CarryOut(ctx, all); err != nil {
		return nil, err
	}
	for i, r := range results {
		parent.sent(sigs[i], r.tuple)
	}
	return results, nil
}

// Publish is SendAll without the handles.
func (c *Client) Publish(ctx context.Context, sigs ...protocol.Signature) error {
	_, err := c.SendAll(ctx, sigs...)
	return err
}

// Plan works out the messages of a signature without sending them: it prepends
// args, overrides options and makes the messages children of a running task.
func (c *Client) Plan(sig protocol.Signature, args []any, opts protocol.Object, parent Parent) (protocol.Plan, error) {
	return protocol.Apply(sig, args, opts, c.env(parent))
}

func (c *Client) env(parent Parent) protocol.Env {
	env := protocol.Env{
		NewID: uuid.NewString, Now: time.Now(), Origin: c.cfg.Name,
		RootID: parent.RootID, ParentID: parent.ID, ReplyTo: parent.ReplyTo, LegacyValues: c.cfg.LegacyValues,
	}
	if parent.ID == "" {
		env.ReplyTo = c.replyTo()
	}
	return env
}

func (c *Client) replyTo() string {
	if c.cfg.Backend == nil {
		return ""
	}
	return c.cfg.Backend.ReplyTo()
}
