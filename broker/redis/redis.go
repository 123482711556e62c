// Package redis moves messages over Redis in kombu's key layout, so that Go and
// Python workers share queues and rescue each other's unfinished messages.
//
// What Python loses when a process dies between taking a message and recording
// it, this driver cannot lose: one script takes and records. Claims carry tags
// of their own and a lease, so that a live worker keeps a message for as long as
// it needs, and the messages of a dead one come back within seconds.
package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/redisx"
)

// Config is how a Broker is made. Every peer on the database must agree on
// GlobalKeyPrefix, PrioritySteps and Separator (transport options of kombu).
type Config struct {
	// URL as redisx.ParseURL reads it.
	URL string
	// GlobalKeyPrefix stands before every key and channel.
	GlobalKeyPrefix string
	// PrioritySteps are the priorities that have a list of their own, ascending
	// from 0; nil means 0, 3, 6, 9.
	PrioritySteps []int
	// Separator joins queue and step; "" means kombu's bytes 06 16.
	Separator string
	// VisibilityTimeout is the age at which claims of Python workers count as
	// abandoned; 0 means an hour, as in kombu. It must exceed their longest
	// countdown and run time. Claims of Umbel workers do not depend on it.
	VisibilityTimeout time.Duration
	// Lease is how old the last sign of life of an Umbel worker may be before
	// its claims are returned; 0 means 8 s. It is renewed four times as often.
	// It must be the same in the whole fleet.
	Lease time.Duration
	// DeadCount and DeadBytes bound the dead letters of each queue; the oldest
	// go first. 0 means 10,000 and 64 MiB.
	DeadCount int
	DeadBytes int64
}

func (c Config) withDefaults() Config {
	if c.PrioritySteps == nil {
		c.PrioritySteps = []int{0, 3, 6, 9}
	}
	if c.Separator == "" {
		c.Separator = "\x06\x16"
	}
	if c.VisibilityTimeout == 0 {
		c.VisibilityTimeout = time.Hour
	}
	if c.Lease == 0 {
		c.Lease = 8 * time.Second
	}
	if c.DeadCount == 0 {
		c.DeadCount = 10_000
	}
	if c.DeadBytes == 0 {
		c.DeadBytes = 64 << 20
	}
	return c
}

// Broker is a broker.Broker over one Redis database.
type Broker struct {
	cfg  Config
	opts redisx.Options
	keys keyspace
	pool *redis.Pool
	pace pacer
	// boot tells the tags of this process from those of a former one of the
	// same name.
	boot string
	seq  atomic.Uint64

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	subs map[*subscription]struct{}
}

var _ broker.Broker = (*Broker)(nil)

// New returns a Broker that connects when it is first used. The error is about
// the configuration.
func New(cfg Config) (*Broker, error) {
	cfg = cfg.withDefaults()
	opts, err := redisx.ParseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.PrioritySteps[0] != 0 {
		return nil, errors.New("priority steps must begin with 0")
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Broker{
		cfg:    cfg,
		opts:   opts.WithDefaults(),
		keys:   keyspace{prefix: cfg.GlobalKeyPrefix, sep: cfg.Separator, steps: cfg.PrioritySteps, db: opts.DB},
		pool:   opts.Pool(),
		boot:   uuid.NewString()[:8],
		ctx:    ctx,
		cancel: cancel,
		subs:   map[*subscription]struct{}{},
	}, nil
}

// Info describes the connection.
func (b *Broker) Info() broker.Info {
	host, port := b.opts.HostPort()
	return broker.Info{
		Transport: "redis", Host: host, Port: port, User: b.opts.Username,
		VirtualHost: strconv.Itoa(b.opts.DB), URL: b.opts.Redacted(),
	}
}

// Close ends consumers and subscriptions and closes the connections. Unsettled
// deliveries go back to their queues when their leases run out.
func (b *Broker) Close() error {
	b.mu.Lock()
	subs := b.subs
	b.subs = map[*subscription]struct{}{}
	b.mu.Unlock()
	for s := range subs {
		s.Close()
	}
	b.cancel()
	b.wg.Wait()
	return b.pool.Close()
}

// with runs f on a pooled connection and says in errors what was being done. The
// end of ctx does not interrupt f, whose commands redisx bounds to 10 s.
func (b *Broker) with(ctx context.Context, doing string, f func(redis.Conn) error) error {
	if b.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, broker.ErrClosed)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return wrap(doing, err)
	}
	defer conn.Close()
	if err := f(conn); err != nil {
		return b.closedOr(wrap(doing, err))
	}
	return nil
}

// closedOr prefers ErrClosed to the errors that closing provokes.
func (b *Broker) closedOr(err error) error {
	if err != nil && b.ctx.Err() != nil && errors.Is(err, broker.ErrConnection) {
		return fmt.Errorf("%w (%w)", broker.ErrClosed, err)
	}
	return err
}

// wrap makes err match the broker's errors.
func wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case redisx.IsReadOnly(err):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrReadOnly, err)
	case redisx.IsConnection(err):
		return fmt.Errorf("%s: %w: %w", doing, broker.ErrConnection, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
