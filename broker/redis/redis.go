// Package redis moves messages over Redis in kombu's key layout, so that Go and
// Python workers share queues and rescue each other's unfinished messages.
//
// What Python loses when a process dies between taking a message and recording
// it, this driver cannot lose: one script takes and records. Claims carry tags
// of their own and a lease, so that a live worker keeps a message for as long as
// it needs, and the messages of a dead one come back within seconds.
//
// On a server with access lists the user needs no more than this (~* may be
// narrowed to the global key prefix; PSUBSCRIBE needs &*, since Redis compares
// patterns literally):
//
//	ACL SETUSER umbel on >password ~* &* -@all +ping +select +time
//	  +eval +evalsha +multi +exec +publish +psubscribe +punsubscribe
//	  +lpush +rpush +rpop +brpop +blmove +llen +lrange +lrem
//	  +hset +hget +hmget +hdel +hexists +hstrlen +sadd +srem +smembers
//	  +zadd +zrem +zscore +zcard +zcount +zrange +zrangebyscore
//	  +set +get +incrby +decrby +del +pexpire
//
// A user that keeps results in Redis too needs the rights of package
// backend/redis besides: append its list without -@all, which would take these
// back.
package redis

import (
	"cmp"
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
	// URL as redisx.ParseURL reads it: one server or, separated by semicolons, a
	// failover list.
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
	// QueueOrder is how a claim goes over the queues of a priority step
	// (queue_order_strategy); "" means RoundRobin.
	QueueOrder QueueOrder
	// FanoutPrefix stands before the exchange in the names of channels, with
	// "{db}" for the database number; "" means kombu's "/{db}.". With
	// NoFanoutPrefix nothing stands there (fanout_prefix=False), with
	// NoFanoutPatterns no routing key stands behind (fanout_patterns=False).
	FanoutPrefix     string
	NoFanoutPrefix   bool
	NoFanoutPatterns bool
	// UnackedKey, UnackedIndexKey and UnackedMutexKey are where claims are kept;
	// "" means kombu's unacked, unacked_index and unacked_mutex.
	UnackedKey      string
	UnackedIndexKey string
	UnackedMutexKey string
	// DeadletterQueue takes what matches no queue of its exchange; "" drops it.
	DeadletterQueue string
	// ConnectTimeout and CommandTimeout bound connecting (5 s) and the answer to
	// one command (10 s).
	ConnectTimeout time.Duration
	CommandTimeout time.Duration
	// Lease is how old the last sign of life of an Umbel worker may be before
	// its claims are returned; 0 means 8 s. It is renewed four times as often.
	// It must be the same in the whole fleet.
	Lease time.Duration
	// DeadCount and DeadBytes bound the dead letters of each queue; the oldest
	// go first. 0 means 10,000 and 64 MiB.
	DeadCount int
	DeadBytes int64
}

// QueueOrder is how the queues of one priority step share a claim.
type QueueOrder string

// The strategies of kombu. The last two let a queue wait for as long as those
// before it have messages.
const (
	// RoundRobin divides what may be claimed among the queues that have
	// messages.
	RoundRobin QueueOrder = "round_robin"
	// Sorted empties the queues in the order of their names.
	Sorted QueueOrder = "sorted"
	// Priority empties the queues in the order in which they were given.
	Priority QueueOrder = "priority"
)

func (c Config) withDefaults() Config {
	c.QueueOrder = cmp.Or(c.QueueOrder, RoundRobin)
	c.FanoutPrefix = cmp.Or(c.FanoutPrefix, "/{db}.")
	c.UnackedKey = cmp.Or(c.UnackedKey, "unacked")
	c.UnackedIndexKey = cmp.Or(c.UnackedIndexKey, "unacked_index")
	c.UnackedMutexKey = cmp.Or(c.UnackedMutexKey, "unacked_mutex")
	if len(c.PrioritySteps) == 0 {
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

func (c Config) validate() error {
	for i, step := range c.PrioritySteps {
		if i == 0 && step != 0 || i > 0 && step <= c.PrioritySteps[i-1] {
			return errors.New("priority steps must begin with 0 and ascend, as in 0, 3, 6, 9")
		}
	}
	switch c.QueueOrder {
	case RoundRobin, Sorted, Priority:
		return nil
	}
	return fmt.Errorf("unknown queue order %q (known: %s, %s, %s)", c.QueueOrder, RoundRobin, Sorted, Priority)
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
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	opts.DialTimeout, opts.Timeout = cfg.ConnectTimeout, cfg.CommandTimeout
	opts = opts.WithDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	return &Broker{
		cfg:    cfg,
		opts:   opts,
		keys:   newKeyspace(cfg, opts.DB),
		pool:   opts.Pool(),
		boot:   uuid.NewString()[:8],
		ctx:    ctx,
		cancel: cancel,
		subs:   map[*subscription]struct{}{},
	}, nil
}

// Info describes the connection; of a failover list, to the server in use.
func (b *Broker) Info() broker.Info {
	server := b.opts.Current()
	host, port := server.HostPort()
	return broker.Info{
		Transport: "redis", Host: host, Port: port, User: server.Username,
		VirtualHost: strconv.Itoa(server.DB), URL: server.Redacted(),
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
// end of ctx breaks the connection, a second later, if f still uses it.
func (b *Broker) with(ctx context.Context, doing string, f func(redis.Conn) error) error {
	if b.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, broker.ErrClosed)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	conn, err := b.pool.GetContext(ctx)
	if err == nil {
		defer conn.Close()
		err = f(conn)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && redisx.IsConnection(err):
		return fmt.Errorf("%s: %w: %w", doing, ctx.Err(), err)
	}
	return b.closedOr(wrap(doing, err))
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
