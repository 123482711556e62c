package redis

import (
	"errors"
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
//	Atomic. The ZREM comes first for claimScript's reason: a server without
//	memory must not take the leases of all workers for old.
var renewScript = redis.NewScript(3, `
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', tonumber(t[2]))
local gone = {}
for _, tag in ipairs(ARGV) do
  redis.call('ZREM', KEYS[3], tag)
  if redis.call('HEXISTS', KEYS[1], tag) == 1 then
    redis.call('ZADD', KEYS[2], now, tag)
    redis.call('ZADD', KEYS[3], now, tag)
  else
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
