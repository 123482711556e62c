package redis

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
)

const (
	// sweepLimit bounds the claims that one sweep returns at once.
	sweepLimit = 100
	// mutexExpire is kombu's unacked_mutex_expire.
	mutexExpire = 300 * time.Second
	// maxVisibilityPause bounds the time between two sweeps of Python's claims
	// (kombu: about 100 s).
	maxVisibilityPause = 30 * time.Second
)

// staleScript finds claims older than an age and drops from the zset what has
// no record any more.
//
//	KEYS: the zset that holds the ages (umbel:claims or unacked_index), unacked, unacked_index
//	ARGV: age in seconds, how many of the oldest to pass over, limit
//	Result: for each claim its tag, its score in unacked_index and its record
//	Atomic.
var staleScript = redis.NewScript(3, `
local t = redis.call('TIME')
local before = string.format('%.6f', tonumber(t[1]) + tonumber(t[2]) / 1000000 - tonumber(ARGV[1]))
local out = {}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'LIMIT', tonumber(ARGV[2]), tonumber(ARGV[3]))) do
  local record = redis.call('HGET', KEYS[2], tag)
  if record then
    out[#out + 1] = tag
    out[#out + 1] = redis.call('ZSCORE', KEYS[3], tag) or ''
    out[#out + 1] = record
  else
    redis.call('ZREM', KEYS[1], tag)
    redis.call('ZREM', KEYS[3], tag)
  end
end
return out
`)

// restoreScript returns somebody else's claim to its queues, unless it was
// settled, renewed, or restored and claimed again in the meantime: Python uses a
// tag for every delivery of a message, so that only the score tells two claims
// apart.
//
//	KEYS: unacked, unacked_index, umbel:claims, then lists
//	ARGV: tag, its score as staleScript gave it, envelope
//	Result: 1, or 0 when the claim had changed
//	Atomic. Pushes to the end that is consumed next, as kombu's restore does.
var restoreScript = redis.NewScript(-1, `
if (redis.call('ZSCORE', KEYS[2], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
for i = 4, #KEYS do redis.call('RPUSH', KEYS[i], ARGV[3]) end
return 1
`)

// unlockScript releases unacked_mutex if it is still ours, as redis-py's lock
// does.
//
//	KEYS: unacked_mutex
//	ARGV: the token it was taken with
//	Atomic.
var unlockScript = redis.NewScript(1, `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`)

// sweepLoop returns the claims of dead Umbel workers and the expired ones of
// Python workers.
func (c *consumer) sweepLoop() {
	lease := c.b.cfg.Lease
	every := lease / 4
	visibility := min(c.b.cfg.VisibilityTimeout/10, maxVisibilityPause)
	steady := steadiness{broken: time.Now()} // perhaps just now: nothing is known of the time before
	var nextVisibility time.Time
	for {
		now := time.Now()
		if steady.long(now, lease) {
			steady.note(time.Now(), every, c.sweepOrphans(c.open))
		} else {
			steady.note(time.Now(), every, c.ping(c.open))
		}
		if now.After(nextVisibility) {
			nextVisibility = now.Add(visibility/2 + rand.N(visibility))
			if err := c.sweepExpired(c.open); err != nil && c.open.Err() == nil {
				slog.DebugContext(c.open, "expired claims not restored", "error", err)
			}
		}
		select {
		case <-time.After(every/2 + rand.N(every)):
		case <-c.open.Done():
			return
		}
	}
}

// steadiness tells whether the server has answered without a break for long
// enough that every live worker has had the time to renew its leases: after an
// outage all leases are old.
type steadiness struct {
	broken time.Time // the latest break that is known or possible
	last   time.Time
}

func (s *steadiness) long(now time.Time, lease time.Duration) bool {
	return now.Sub(s.broken) > lease
}

func (s *steadiness) note(now time.Time, every time.Duration, err error) {
	if err != nil || !s.last.IsZero() && now.Sub(s.last) > 3*every {
		s.broken = now
	}
	s.last = now
}

func (c *consumer) ping(ctx context.Context) error {
	return c.b.with(ctx, "ping", func(conn redis.Conn) error {
		_, err := conn.Do("PING")
		return err
	})
}

func (c *consumer) sweepOrphans(ctx context.Context) error {
	n, err := c.restoreStale(ctx, c.b.keys.claims(), c.b.cfg.Lease)
	if n > 0 {
		slog.InfoContext(ctx, "messages of lost workers returned to their queues", "messages", n)
	}
	return err
}

// sweepExpired is kombu's restore_visible: one peer at a time.
func (c *consumer) sweepExpired(ctx context.Context) error {
	k, token := c.b.keys, uuid.NewString()
	locked := false
	err := c.b.with(ctx, "lock unacked_mutex", func(conn redis.Conn) error {
		_, err := redis.String(conn.Do("SET", k.unackedMutex(), token, "NX", "PX", mutexExpire.Milliseconds()))
		locked = err == nil
		if errors.Is(err, redis.ErrNil) {
			return nil
		}
		return err
	})
	if err != nil || !locked {
		return err
	}
	n, err := c.restoreStale(ctx, k.unackedIndex(), c.b.cfg.VisibilityTimeout)
	if n > 0 {
		slog.InfoContext(ctx, "messages older than the visibility timeout returned to their queues", "messages", n)
	}
	return errors.Join(err, c.b.with(context.WithoutCancel(ctx), "unlock unacked_mutex", func(conn redis.Conn) error {
		_, err := unlockScript.Do(conn, k.unackedMutex(), token)
		return err
	}))
}

// restoreStale returns all claims whose age in the zset exceeds the limit. It
// passes over those that cannot be restored, however many they are.
func (c *consumer) restoreStale(ctx context.Context, zset string, age time.Duration) (int, error) {
	for total, stuck := 0, 0; ; {
		found, restored, err := c.restoreSome(ctx, zset, age, stuck)
		total += restored
		stuck += found - restored
		if err != nil || found < sweepLimit || c.open.Err() != nil {
			return total, err
		}
		c.b.pace.wait()
	}
}

// restoreSome returns at most sweepLimit claims, but for the first ones.
func (c *consumer) restoreSome(ctx context.Context, zset string, age time.Duration, first int) (found, restored int, err error) {
	k := c.b.keys
	err = c.b.with(ctx, "restore claims", func(conn redis.Conn) error {
		stale, err := redis.ByteSlices(staleScript.Do(conn, zset, k.unacked(), k.unackedIndex(),
			strconv.FormatFloat(age.Seconds(), 'f', 3, 64), first, sweepLimit))
		if err != nil {
			return err
		}
		found = len(stale) / 3
		calls, err := c.restores(conn, stale)
		if err != nil {
			return err
		}
		for _, r := range runScripts(conn, calls) {
			n, err := redis.Int(r.value, r.err)
			if err != nil {
				return err
			}
			restored += n
		}
		return nil
	})
	return found, restored, err
}

// restores turns staleScript's answer into calls of restoreScript. A record that
// leads to no queue stays where it is: kombu would drop the message.
func (c *consumer) restores(conn redis.Conn, found [][]byte) ([]call, error) {
	k := c.b.keys
	records := make([]record, len(found)/3)
	var exchanges []string
	for i := range records {
		var err error
		if records[i], err = parseRecord(string(found[3*i]), found[3*i+2]); err != nil {
			slog.Warn("claim cannot be restored", "tag", string(found[3*i]), "error", err)
		}
		if records[i].exchange != "" {
			exchanges = append(exchanges, records[i].exchange)
		}
	}
	tables, err := c.b.table(conn, exchanges)
	if err != nil {
		return nil, err
	}
	var calls []call
	for i, r := range records {
		lists := c.listsOf(r, tables)
		if len(lists) == 0 {
			continue
		}
		args := append([]any{3 + len(lists), k.unacked(), k.unackedIndex(), k.claims()}, lists...)
		calls = append(calls, call{restoreScript, append(args, found[3*i], found[3*i+1], redeliver(r.envelope))})
	}
	return calls, nil
}

func (c *consumer) listsOf(r record, tables map[string][]binding) []any {
	queues := []string{r.routingKey}
	if r.exchange != "" {
		queues = route(tables[r.exchange], r.routingKey)
	}
	m, _ := decodeEnvelope(r.envelope)
	var out []any
	for _, q := range queues {
		if q != "" {
			out = append(out, c.b.keys.listFor(q, m.Properties.Priority))
		}
	}
	return out
}
