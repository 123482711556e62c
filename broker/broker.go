// Package broker is the port through which messages move. A driver knows lists,
// channels, exchanges and claims, never tasks; package broker/dial turns a URL
// into a driver.
//
// A driver does not retry for ever on its own: an operation that fails because
// the connection is gone returns an error that matches [ErrConnection], the next
// operation dials again, and the caller decides how long to wait between the two
// ([Follow] is that loop for subscriptions).
package broker

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// Errors that callers choose by. Drivers wrap them with what was being done.
var (
	// ErrConnection means that the broker could not be reached or the
	// connection broke. The operation may or may not have happened.
	ErrConnection = errors.New("broker connection lost")
	// ErrReadOnly means that the server refuses writes or is still loading (a
	// demoted Redis primary); treat it as a failover.
	ErrReadOnly = errors.New("broker is read-only")
	// ErrRefused means that the server is there but does not take the message:
	// its queue is full and rejects publishes.
	ErrRefused = errors.New("broker refused the message")
	// ErrClaimLost means that a delivery is no longer ours: it was returned to
	// the queue and may be running elsewhere.
	ErrClaimLost = errors.New("claim lost")
	// ErrNoQueue means that a mandatory message matched no queue.
	ErrNoQueue = errors.New("no queue for the message")
	// ErrClosed means that the broker or consumer was closed by its owner.
	ErrClosed = errors.New("broker closed")
)

// Exchange kinds (kombu).
const (
	Direct = "direct"
	Topic  = "topic"
	Fanout = "fanout"
)

// Queue declares a task queue. Exchange, Kind and RoutingKey default to the
// queue's own name and "direct", as Celery does for a missing queue. A queue of
// kind Fanout receives a copy of every message of its exchange (without a
// RoutingKey, of those with any), which its consumers share: for a copy in every
// worker give every worker a queue.
type Queue struct {
	Name       string
	Exchange   string
	Kind       string
	RoutingKey string
	// Args are the queue arguments ("x-max-priority" ...); AMQP only.
	Args map[string]any
}

// WithDefaults returns q with empty fields filled in.
func (q Queue) WithDefaults() Queue {
	if q.Exchange == "" {
		q.Exchange = q.Name
	}
	if q.Kind == "" {
		q.Kind = Direct
	}
	if q.RoutingKey == "" && q.Kind != Fanout {
		q.RoutingKey = q.Name
	}
	return q
}

// Publishing is one message and where it goes.
type Publishing struct {
	// Exchange "" is the default exchange: RoutingKey then names the queue.
	Exchange string
	// Kind of the exchange: "" or Direct, Topic, Fanout. The driver declares a
	// named exchange before it is used for the first time.
	Kind       string
	RoutingKey string
	Message    *protocol.Message
	// Mandatory asks for ErrNoQueue when no queue takes the message. Drivers
	// that cannot know (pub/sub) ignore it.
	Mandatory bool
}

// Broker moves messages. It is safe for concurrent use.
type Broker interface {
	// Publish hands all messages over in as few round trips as the transport
	// allows and returns when the broker has them (publisher confirms on AMQP).
	Publish(ctx context.Context, msgs ...Publishing) error
	// Declare makes sure that the queue exists and is bound. On AMQP it looks
	// passively first, so that arguments chosen by a Python app stay.
	Declare(ctx context.Context, q Queue) error
	// Consume starts to take messages from the queues, which it declares.
	Consume(ctx context.Context, opts ConsumeOptions) (Consumer, error)
	// Subscribe opens an at-most-once subscription (remote control, its
	// replies, events, rpc results). It is active when Subscribe returns.
	Subscribe(ctx context.Context, opts SubscribeOptions) (Subscription, error)
	// Queues reports on the named queues; an unknown queue has zero figures.
	Queues(ctx context.Context, names ...string) ([]QueueInfo, error)
	// Purge deletes the waiting messages of a queue and returns their number.
	Purge(ctx context.Context, queue string) (int, error)
	DeadLetters
	// Info describes the connection, without secrets.
	Info() Info
	// Close releases connections. Consumers and subscriptions end with ErrClosed.
	Close() error
}

// Info describes a broker for people and for the stats command.
type Info struct {
	Transport   string // "redis" or "amqp"
	Host        string
	Port        int
	User        string
	VirtualHost string // database number on Redis
	URL         string // without password
}

// ConsumeOptions say what a consumer takes.
type ConsumeOptions struct {
	// Worker is the node name; it marks our claims.
	Worker string
	Queues []Queue
	// Prefetch is how many unsettled deliveries the consumer may hold at once;
	// 0 means 1.
	Prefetch int
}

// Consumer takes messages off queues. Claim is called by one goroutine at a
// time; the methods of a Delivery may be called from any.
type Consumer interface {
	// Claim blocks until at least one message is claimed or ctx ends, and
	// returns at most max of them. On ErrConnection call it again after a
	// pause: it dials anew.
	Claim(ctx context.Context, max int) ([]Delivery, error)
	// AddQueue and CancelQueue change what is consumed, from now on.
	AddQueue(ctx context.Context, q Queue) error
	CancelQueue(ctx context.Context, name string) error
	// SetPrefetch changes how many unsettled deliveries the consumer may hold;
	// 0 means 1. What it holds beyond a smaller number it keeps.
	SetPrefetch(n int)
	// Queues lists what is consumed now.
	Queues() []Queue
	// Close stops taking messages and gives back what was claimed but neither
	// returned by Claim nor settled. Deliveries already returned stay ours
	// until they are settled.
	Close(ctx context.Context) error
}

// Delivery is one claimed message. Exactly one of the settling methods must
// succeed; a second one is an error that matches ErrClaimLost.
type Delivery interface {
	Message() *protocol.Message
	// Queue is the queue that it was taken from.
	Queue() string
	// Redelivered is true when it was handed out before (as far as the
	// transport knows).
	Redelivered() bool
	// Ack drops the message: it is done.
	Ack(ctx context.Context) error
	// Reject drops the message or, with requeue, puts it back where Python puts
	// it back: at the far end on Redis, at the head on RabbitMQ.
	Reject(ctx context.Context, requeue bool) error
	// Return gives an unstarted message back to be consumed next.
	Return(ctx context.Context) error
	// Park takes the message off the queue until the time given, durably and on
	// the broker's side; then any worker may claim it.
	Park(ctx context.Context, until time.Time) error
	// Dead moves the message to the queue's dead-letter place with the reason,
	// where an operator can list and replay it.
	Dead(ctx context.Context, reason string) error
	// Lost is closed when the claim was lost (connection gone, claim returned
	// by somebody else): a late-acknowledged task may then run elsewhere.
	Lost() <-chan struct{}
}

// SubscribeOptions describe a queue of our own life.
type SubscribeOptions struct {
	Exchange string
	Kind     string // Direct, Topic or Fanout
	// RoutingKey is the binding: a word on Direct, a pattern with * and # on
	// Topic, "" on Fanout.
	RoutingKey string
	// Queue is the queue's name (pidbox: "<node>.celery.pidbox", replies:
	// "<oid>.reply.celery.pidbox", events: "celeryev.<uuid>", rpc: "<oid>").
	// Exchange may be "" for an rpc queue, which is then not bound.
	Queue string
	// Durable exchanges are "celeryev" and task exchanges; pidbox ones are not.
	DurableExchange bool
	// DurableQueue and NotExclusive are for rpc result queues (Celery 5.7:
	// durable, auto-delete).
	DurableQueue bool
	NotExclusive bool
	// TTL and Expires are x-message-ttl and x-expires; 0 means none.
	TTL     time.Duration
	Expires time.Duration
	// Buffer is how many received messages may wait in this process; 0 means
	// 1024. When it is full the driver stops reading the connection.
	Buffer int
}

// Subscription is an open at-most-once stream. Next is for one goroutine.
type Subscription interface {
	// Next returns the next message. After an error that matches ErrConnection
	// the subscription is over: close it and subscribe again.
	Next(ctx context.Context) (*protocol.Message, error)
	Close() error
}

// QueueInfo are the figures of one queue.
type QueueInfo struct {
	Name      string
	Messages  int // Ready + Unacked
	Ready     int
	Unacked   int
	Consumers int // -1 where the transport cannot know
	// Delayed counts messages parked by Umbel; they are in none of the above.
	Delayed int
	// Oldest is when the oldest waiting message was published, zero when
	// unknown.
	Oldest time.Time
}
