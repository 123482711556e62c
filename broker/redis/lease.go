package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
)

// renewScript renews leases, and with them the age that Python's visibility
// sweep sees, so that nobody takes a running task for an abandoned one.
//
//	KEYS: unacked, unacked_index, umbel:claims
//	ARGV: tags
//	Result: the tags that are no longer in unacked
//	Atomic.
var renewScript = redis.NewScript(3, `
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', tonumber(t[2]))
local gone = {}
for _, tag in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], tag) == 1 then
    redis.call('ZADD', KEYS[2], now, tag)
    redis.call('ZADD', KEYS[3], now, tag)
  else
    redis.call('ZREM', KEYS[3], tag)
    gone[#gone + 1] = tag
  end
end
return gone
`)

// heartbeat renews all claims, a second time at once when the connection turns
// out to be broken: the lease leaves no time to wait for the next beat.
func (c *consumer) heartbeat(w *writer) {
	err := c.renew(w)
	if errors.Is(err, broker.ErrConnection) {
		err = c.renew(w)
	}
	if err != nil && c.ctx.Err() == nil {
		slog.WarnContext(c.ctx, "claims not renewed, others may return them", "error", err, "lease", c.b.cfg.Lease)
	}
}

func (c *consumer) renew(w *writer) error {
	conn, err := w.open(c.ctx, c.b)
	if err != nil {
		return err
	}
	defer w.check()
	k := c.b.keys
	for tags := range slices.Chunk(c.held(), maxClaim) {
		args := redis.Args{k.unacked(), k.unackedIndex(), k.claims()}.AddFlat(tags)
		gone, err := redis.Strings(renewScript.Do(conn, args...))
		if err != nil {
			return wrap("renew claims", err)
		}
		c.lose(gone)
	}
	return nil
}

// minWriterTimeout is the least time that the server has to answer a settlement
// or a heartbeat. Otherwise it is half a lease, so that a half-open connection
// is replaced before the claims are lost with it.
const minWriterTimeout = time.Second

// writer is a connection that is dialled when needed and dropped when broken.
type writer struct{ conn redis.Conn }

func (w *writer) open(ctx context.Context, b *Broker) (redis.Conn, error) {
	if w.conn != nil {
		return w.conn, nil
	}
	if ctx.Err() != nil {
		return nil, broker.ErrClosed
	}
	opts := b.opts
	opts.Timeout = min(opts.Timeout, max(b.cfg.Lease/2, minWriterTimeout))
	conn, err := opts.Dial(ctx)
	if err != nil {
		return nil, wrap("settle", err)
	}
	w.conn = conn
	return conn, nil
}

// check drops a broken connection.
func (w *writer) check() {
	if w.conn != nil && w.conn.Err() != nil {
		w.drop()
	}
}

func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	if err := w.conn.Close(); err != nil {
		slog.Debug("close connection", "error", fmt.Errorf("redis: %w", err))
	}
	w.conn = nil
}
