package redis

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

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

// renew is one heartbeat. It also keeps the idle connection in use, so that a
// broken one is found before a settlement needs it.
func (c *consumer) renew(w *writer) {
	conn, err := w.open(c.ctx, c.b)
	if err != nil {
		c.heartbeatFailed(err)
		return
	}
	k := c.b.keys
	for tags := range slices.Chunk(c.held(), maxClaim) {
		args := redis.Args{k.unacked(), k.unackedIndex(), k.claims()}.AddFlat(tags)
		gone, err := redis.Strings(renewScript.Do(conn, args...))
		if err != nil {
			c.heartbeatFailed(wrap("renew claims", err))
			break
		}
		c.lose(gone)
	}
	w.check()
}

func (c *consumer) heartbeatFailed(err error) {
	if c.ctx.Err() == nil {
		slog.WarnContext(c.ctx, "claims not renewed, others may return them", "error", err, "lease", c.b.cfg.Lease)
	}
}

// writer is a connection that is dialled when needed and dropped when broken.
type writer struct{ conn redis.Conn }

func (w *writer) open(ctx context.Context, b *Broker) (redis.Conn, error) {
	if w.conn != nil {
		return w.conn, nil
	}
	if ctx.Err() != nil {
		return nil, broker.ErrClosed
	}
	conn, err := b.opts.Dial(ctx)
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
