package redis

import (
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
)

// maxBatch bounds the operations that share a round trip.
const maxBatch = 256

// ackScript forgets claims.
//
//	KEYS: unacked, unacked_index, umbel:claims
//	ARGV: tags
//	Result: for each tag 1, or 0 when the claim was no longer there
//	Atomic.
var ackScript = redis.NewScript(3, `
local out = {}
for i, tag in ipairs(ARGV) do
  out[i] = redis.call('HDEL', KEYS[1], tag)
  redis.call('ZREM', KEYS[2], tag)
  redis.call('ZREM', KEYS[3], tag)
end
return out
`)

// putBackScript returns a claimed message to its list.
//
//	KEYS: unacked, unacked_index, umbel:claims, list
//	ARGV: tag, LPUSH or RPUSH, envelope
//	Result: 1, or 0 when the claim was no longer there
//	Atomic. Workers of both languages read the list.
var putBackScript = redis.NewScript(4, `
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call(ARGV[2], KEYS[4], ARGV[3])
return 1
`)

// parkScript turns a claim into a parked message.
//
//	KEYS: unacked, unacked_index, umbel:claims, umbel:delayed:<queue>, umbel:delayed
//	ARGV: tag, seconds from now, queue
//	Result: 1, or 0 when the claim was no longer there
//	Atomic. The due time in unacked_index keeps Python's visibility sweep away
//	until the timeout after it, which is the last resort when no Umbel process
//	lives. The ZREM comes first for claimScript's reason.
var parkScript = redis.NewScript(5, `
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local t = redis.call('TIME')
local due = string.format('%.6f', tonumber(t[1]) + tonumber(t[2]) / 1000000 + tonumber(ARGV[2]))
redis.call('ZADD', KEYS[2], due, ARGV[1])
redis.call('ZADD', KEYS[4], due, ARGV[1])
redis.call('ZADD', KEYS[5], 'LT', due, ARGV[3])
return 1
`)

// operation settles one delivery. Without a script it is an acknowledgement,
// and all of a batch share one.
type operation struct {
	d      *delivery
	doing  string
	script *redis.Script
	args   []any
	done   chan error
}

func (op *operation) finish(err error) {
	switch {
	case err == nil:
		op.d.end(settled)
	case errors.Is(err, broker.ErrClaimLost):
		op.d.end(lostClaim)
	default:
		op.d.end(unsettled)
	}
	if err != nil {
		err = fmt.Errorf("%s message from %s: %w", op.doing, op.d.queue, err)
	}
	op.done <- err
}

// settleLoop owns the connection that settles and renews claims. That both
// share it keeps a renewal from overtaking a Park. It ends when the consumer is
// closed and nothing is unsettled.
func (c *consumer) settleLoop() {
	defer c.cancel()
	beat := time.NewTicker(c.b.cfg.Lease / 4)
	defer beat.Stop()
	var w writer
	defer w.drop()
	for {
		c.retire()
		select {
		case op := <-c.ops:
			c.flush(&w, c.collect(op))
		case <-beat.C:
			c.heartbeat(&w)
		case <-c.ctx.Done():
			c.refuse()
			return
		}
	}
}

// collect adds what else is waiting to the batch.
func (c *consumer) collect(op *operation) []*operation {
	batch := []*operation{op}
	for len(batch) < maxBatch {
		select {
		case op := <-c.ops:
			batch = append(batch, op)
		default:
			return batch
		}
	}
	return batch
}

func (c *consumer) refuse() {
	for {
		select {
		case op := <-c.ops:
			op.finish(broker.ErrClosed)
		default:
			return
		}
	}
}

// flush settles a batch in one round trip.
func (c *consumer) flush(w *writer, batch []*operation) {
	c.b.pace.wait()
	conn, err := w.open(c.ctx, c.b)
	if err != nil {
		for _, op := range batch {
			op.finish(c.b.closedOr(err))
		}
		return
	}
	acks, others := split(batch)
	calls := make([]call, 0, 1+len(others))
	if len(acks) > 0 {
		calls = append(calls, call{ackScript, c.ackArgs(acks)})
	}
	for _, op := range others {
		calls = append(calls, call{op.script, op.args})
	}
	replies := runScripts(conn, calls)
	if len(acks) > 0 {
		finishAcks(acks, replies[0])
		replies = replies[1:]
	}
	for i, op := range others {
		n, err := redis.Int(replies[i].value, replies[i].err)
		op.finish(outcome(n, err))
	}
	w.check()
}

func split(batch []*operation) (acks, others []*operation) {
	for _, op := range batch {
		if op.script == nil {
			acks = append(acks, op)
		} else {
			others = append(others, op)
		}
	}
	return acks, others
}

func (c *consumer) ackArgs(acks []*operation) []any {
	k := c.b.keys
	args := []any{k.unacked(), k.unackedIndex(), k.claims()}
	for _, op := range acks {
		args = append(args, op.d.tag)
	}
	return args
}

func finishAcks(acks []*operation, r reply) {
	ns, err := redis.Ints(r.value, r.err)
	if err == nil && len(ns) != len(acks) {
		err = fmt.Errorf("%d answers to %d acknowledgements", len(ns), len(acks))
	}
	for i, op := range acks {
		if err != nil {
			op.finish(outcome(0, err))
		} else {
			op.finish(outcome(ns[i], nil))
		}
	}
}

func outcome(n int, err error) error {
	if err != nil {
		return wrap("settle", err)
	}
	if n == 0 {
		return broker.ErrClaimLost
	}
	return nil
}
