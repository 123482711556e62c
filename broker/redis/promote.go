package redis

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// promoteLimit and promoteBytes bound what one script moves, and so the time
	// that it keeps Redis from others; a single message may be larger.
	promoteLimit = 200
	promoteBytes = 1 << 20
	// promoteAtMost is how long a promoter sleeps: another process may park
	// something earlier than all it knows.
	promoteAtMost = time.Second
	// promoteGather lets what is due at nearly the same time come back together,
	// and so in its order.
	promoteGather = 5 * time.Millisecond
	// promoteJitter spreads the promoters of a fleet over the moment when
	// something is due, so that one finds it and the others find it done.
	promoteJitter = 30 * time.Millisecond
)

// promoteScript returns parked messages whose time has come to their lists, so
// that the earliest is consumed first, and says how many and when the next is
// due. A parked message that is gone from unacked (restored by Python's sweep)
// only leaves the index.
//
//	KEYS: unacked, unacked_index, umbel:delayed
//	ARGV: key prefix of umbel:delayed:<queue>, global key prefix, separator,
//	      greatest count, bytes after which no more follows, then the priority steps
//	Result: messages moved, milliseconds until the next is due or -1
//	Atomic, hence no lock among the processes that run it. It names lists that
//	are not in KEYS; kombu's layout does not fit Redis Cluster anyway. cjson
//	reads the priority only.
var promoteScript = redis.NewScript(3, luaEnvelope+`
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local nowText = string.format('%.6f', now)

local function list(queue, element)
  local ok, decoded = pcall(cjson.decode, element)
  local priority = ok and type(decoded) == 'table' and type(decoded.properties) == 'table' and tonumber(decoded.properties.priority) or 0
  local step = 0
  priority = math.min(priority, 9)
  for i = 6, #ARGV do
    if tonumber(ARGV[i]) <= priority then step = tonumber(ARGV[i]) end
  end
  if step == 0 then return ARGV[2] .. queue end
  return ARGV[2] .. queue .. ARGV[3] .. string.format('%d', step)
end

local moved, left, bytes = 0, tonumber(ARGV[4]), tonumber(ARGV[5])
for _, queue in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', nowText, 'LIMIT', 0, 16)) do
  local index = ARGV[1] .. queue
  redis.call('ZREM', KEYS[3], queue)
  local due = bytes > 0 and redis.call('ZRANGEBYSCORE', index, '-inf', nowText, 'LIMIT', 0, left) or {}
  for i = #due, 1, -1 do
    if bytes <= 0 then break end
    local record = redis.call('HGET', KEYS[1], due[i])
    redis.call('ZREM', index, due[i])
    left = left - 1
    if record then
      local element = envelope(record)
      redis.call('HDEL', KEYS[1], due[i])
      redis.call('ZREM', KEYS[2], due[i])
      redis.call('RPUSH', list(queue, element), element)
      moved = moved + 1
      bytes = bytes - #element
    end
  end
  local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
  if #first > 0 then redis.call('ZADD', KEYS[3], first[2], queue) end
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if #first == 0 then return {moved, -1} end
return {moved, math.max(0, math.ceil((tonumber(first[2]) - now) * 1000))}
`)

// promoteLoop promotes what any Umbel process parked in any queue.
func (c *consumer) promoteLoop() {
	var limit time.Duration
	for {
		select {
		case <-time.After(limit):
		case <-c.reparks:
		case <-c.open.Done():
			return
		}
		next, err := c.promote(c.open)
		if err != nil && c.open.Err() == nil {
			slog.DebugContext(c.open, "due messages not promoted", "error", err)
			next = promoteAtMost
		}
		limit = min(next, promoteAtMost)
	}
}

// promote returns when to look again.
func (c *consumer) promote(ctx context.Context) (time.Duration, error) {
	k := c.b.keys
	args := []any{k.unacked(), k.unackedIndex(), k.delayedQueues(), k.delayedPrefix(), k.prefix, k.sep, promoteLimit, promoteBytes}
	for _, step := range k.steps {
		args = append(args, strconv.Itoa(step))
	}
	var answer []int64
	err := c.b.with(ctx, "promote parked messages", func(conn redis.Conn) (err error) {
		answer, err = redis.Int64s(promoteScript.Do(conn, args...))
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case len(answer) != 2 || answer[1] < 0:
		return promoteAtMost, nil
	case answer[1] == 0:
		return 0, nil
	}
	return time.Duration(answer[1])*time.Millisecond + promoteGather + rand.N(promoteJitter), nil
}
