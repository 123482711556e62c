package redisx

import (
	"context"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// checkIdle is how long a pooled connection may lie idle and still be
	// trusted without a PING.
	checkIdle = time.Second
	// checkTimeout bounds that PING: a half-open connection shall not cost its
	// borrower the patience that a command deserves.
	checkTimeout = 3 * time.Second
	// idleTimeout closes pooled connections that nobody uses.
	idleTimeout = 5 * time.Minute
)

// Pool returns a pool of such connections for short commands. It opens none
// before the first use and never blocks for lack of connections. When one of
// them breaks, those that lay idle then are checked before they are used again,
// so that a restart of the server costs one error, not one for each.
//
// Use GetContext, then Do: the end of the context given to GetContext breaks
// the connection a second later if it is still in use, so that no command
// outlives its caller for longer. (redigo's DoContext spends a goroutine on
// every call.) Where an answer matters more than that, borrow with
// context.WithoutCancel: Do is bounded by Options.Timeout.
func (o Options) Pool() *redis.Pool {
	o = o.WithDefaults()
	return &redis.Pool{
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			fresh, err := o.Dial(ctx)
			if err != nil {
				return nil, err
			}
			fresh.(*conn).bind(ctx)
			return fresh, nil
		},
		MaxIdle:     o.PoolSize,
		IdleTimeout: idleTimeout,
		TestOnBorrowContext: func(ctx context.Context, idle redis.Conn, last time.Time) error {
			c := idle.(*conn)
			if c.Err() != nil {
				return c.Err()
			}
			c.bind(ctx)
			if time.Since(last) < checkIdle && last.UnixNano() > o.servers.broken.Load() {
				return nil
			}
			_, err := c.DoWithTimeout(min(o.Timeout, checkTimeout), "PING")
			return err
		},
	}
}
