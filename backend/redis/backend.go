// Package redis keeps task results in Redis as Celery's Redis backend does: the
// same keys, the same JSON, the same messages to subscribers, the same joining
// of chords.
//
// A Backend is safe for concurrent use and opens connections only when needed.
// After Close every method returns backend.ErrClosed and no goroutine is left.
//
// On a server with access lists the user needs no more than this (~* and &* may
// be narrowed to the key prefix: results are published under their keys):
//
//	ACL SETUSER umbel on >password ~* &* -@all +ping +select +time
//	  +eval +evalsha +script|load +multi +exec
//	  +publish +subscribe +unsubscribe
//	  +get +mget +getrange +set +incrby +del +exists +expire +ttl +scan
//	  +hset +hsetnx +hmget +llen +lrange +rpush +sadd +scard +sismember
//	  +zadd +zrem +zcard +zcount +zscore +zrank +zrange +zrangebyscore
//
// A user that moves messages over Redis too needs the rights of package
// broker/redis besides: append its list without -@all, which would take these
// back.
package redis

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/internal/redisx"
	"github.com/umbel-go/umbel/protocol"
)

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Chorder = (*Backend)(nil)
)

// Config says where results are kept, and for how long. Peers that share
// results must agree on all of it but the times.
type Config struct {
	// URL is a Redis URL as redisx.ParseURL reads it.
	URL string
	// KeyPrefix is Celery's result_backend_transport_options.global_keyprefix;
	// as in Celery "_" is added to it unless it ends in one of ": _ - .".
	KeyPrefix string
	// Expires is Celery's result_expires: 0 means backend.DefaultExpires,
	// negative keeps results for ever. Redis counts whole seconds; fractions
	// are rounded up.
	Expires time.Duration
	// FailureExpires is result_failure_expires, for results in state FAILURE; 0
	// means Expires.
	FailureExpires time.Duration
	// ChordExpires is result_chord_expires, for the keys of unfinished chords;
	// 0 means Expires.
	ChordExpires time.Duration
	// UnorderedChords is the opposite of result_chord_ordered: parts are handed
	// over in the order of completion. It changes the type of a Redis key.
	UnorderedChords bool
	// Compression is Celery's result_compression by kombu's names (zlib, gzip,
	// bzip2 ...); "" stores plain JSON. Celery before 5.7 cannot read compressed
	// results, and no chord may be shared with it. Whatever is set here, results
	// of both kinds are read.
	Compression string
	// Serializer is result_serializer: json (the default), msgpack or yaml. With
	// yaml a chord that workers of Celery before 5.7 share must not have header
	// tasks that run twice: those tell parts apart by their bytes.
	Serializer string
	// PollInterval is how often watched results are read again in case a push
	// was lost (10 s). A result comes at most this late, and 15 s later where
	// connections hang without an error.
	PollInterval time.Duration
	// Logger receives lost connections (slog.Default()).
	Logger *slog.Logger
}

const defaultPollInterval = 10 * time.Second

// Backend is the result backend on one Redis database.
type Backend struct {
	cfg    Config
	keys   keys
	opts   redisx.Options
	pool   *redis.Pool
	hub    *hub
	claims claims

	closing   context.Context
	close     context.CancelFunc
	closeOnce sync.Once
}

// New checks the configuration and returns a backend. It does not connect.
func New(cfg Config) (*Backend, error) {
	opts, err := redisx.ParseURL(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("result backend: %w", err)
	}
	if _, _, err := protocol.Compress(cfg.Compression, nil); err != nil {
		return nil, fmt.Errorf("result backend: %w", err)
	}
	cfg.Serializer = cmp.Or(cfg.Serializer, "json")
	if _, _, _, err := protocol.SerializeResult(cfg.Serializer, protocol.Raw("null")); err != nil {
		return nil, fmt.Errorf("result backend: %w", err)
	}
	cfg.Expires = cmp.Or(cfg.Expires, backend.DefaultExpires)
	cfg.FailureExpires = cmp.Or(cfg.FailureExpires, cfg.Expires)
	cfg.ChordExpires = cmp.Or(cfg.ChordExpires, cfg.Expires)
	cfg.PollInterval = cmp.Or(cfg.PollInterval, defaultPollInterval)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	b := &Backend{cfg: cfg, keys: newKeys(cfg.KeyPrefix), opts: opts, pool: opts.Pool()}
	b.closing, b.close = context.WithCancel(context.Background())
	b.hub = newHub(b)
	return b, nil
}

// ReplyTo is "": results lie in Redis, nobody is asked to send them.
func (b *Backend) ReplyTo() string { return "" }

// Close ends all watches, waits for the goroutines behind them and closes the
// connections.
func (b *Backend) Close() error {
	var err error
	b.closeOnce.Do(func() {
		b.close()
		b.hub.wait()
		err = b.pool.Close()
	})
	return err
}

// seconds is d as the argument of EX, 0 for never.
func seconds(d time.Duration) int {
	if d < 0 {
		return 0
	}
	return int(math.Ceil(d.Seconds()))
}
