package redisx

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// checkIdle is how long a pooled connection may lie idle and still be
	// trusted without a PING.
	checkIdle = time.Second
	// idleTimeout closes pooled connections that nobody uses.
	idleTimeout = 5 * time.Minute
)

// Pool returns a pool of such connections for short commands. It opens none
// before the first use and never blocks for lack of connections. When one of
// them breaks, those that lay idle then are checked before they are used again,
// so that a restart of the server costs one error, not one for each.
//
// Use GetContext, then Do: redigo's DoContext spends a goroutine on every call
// and closes the connection when ctx ends; Do is bounded by Options.Timeout.
func (o Options) Pool() *redis.Pool {
	o = o.WithDefaults()
	var broken atomic.Int64 // Unix nanoseconds of the latest break
	return &redis.Pool{
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			conn, err := o.Dial(ctx)
			if full, ok := conn.(fullConn); ok && err == nil {
				return &pooled{full, &broken}, nil
			}
			return conn, err
		},
		MaxIdle:     o.PoolSize,
		IdleTimeout: idleTimeout,
		TestOnBorrow: func(c redis.Conn, last time.Time) error {
			if time.Since(last) < checkIdle && last.UnixNano() > broken.Load() {
				return nil
			}
			_, err := c.Do("PING")
			return err
		},
	}
}

// fullConn is what redigo's connections can do, and its pool looks for.
type fullConn interface {
	redis.ConnWithTimeout
	redis.ConnWithContext
}

// pooled notes when it was found broken.
type pooled struct {
	fullConn
	broken *atomic.Int64
}

// Close is called by the pool on a connection that it does not keep.
func (p *pooled) Close() error {
	if p.Err() != nil {
		p.broken.Store(time.Now().UnixNano())
	}
	return p.fullConn.Close()
}
