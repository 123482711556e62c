package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

var _ broker.DeadLetters = (*Broker)(nil)

// deadPage bounds the letters that one round trip reads or moves.
const deadPage = 100

// deadScript moves a claimed message to the dead letters and drops the oldest
// of those beyond the bounds; the newest always stays.
//
//	KEYS: unacked, unacked_index, umbel:claims, umbel:dead:<queue>,
//	      umbel:dead.letters:<queue>, umbel:dead.bytes:<queue>
//	ARGV: tag, id, letter, greatest count, greatest size
//	Result: 1, or 0 when the claim was no longer there
//	Atomic.
var deadScript = redis.NewScript(6, `
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
local count = redis.call('LPUSH', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[5], ARGV[2], ARGV[3])
local bytes = redis.call('INCRBY', KEYS[6], #ARGV[3])
while count > 1 and (count > tonumber(ARGV[4]) or bytes > tonumber(ARGV[5])) do
  local oldest = redis.call('RPOP', KEYS[4])
  bytes = redis.call('DECRBY', KEYS[6], redis.call('HSTRLEN', KEYS[5], oldest))
  redis.call('HDEL', KEYS[5], oldest)
  count = count - 1
end
return 1
`)

// luaTake defines take(id), which removes a letter and tells whether there was
// one. KEYS: umbel:dead:<queue>, umbel:dead.letters:<queue>,
// umbel:dead.bytes:<queue>.
const luaTake = `
local function take(id)
  local size = redis.call('HSTRLEN', KEYS[2], id)
  if redis.call('HDEL', KEYS[2], id) == 0 then return false end
  redis.call('LREM', KEYS[1], -1, id)
  if redis.call('DECRBY', KEYS[3], size) <= 0 then redis.call('DEL', KEYS[3]) end
  return true
end
`

// dropScript deletes letters.
//
//	KEYS: those of luaTake
//	ARGV: ids
//	Result: how many there were
//	Atomic.
var dropScript = redis.NewScript(3, luaTake+`
local n = 0
for _, id in ipairs(ARGV) do if take(id) then n = n + 1 end end
return n
`)

// replayScript puts letters back on their lists, at the end where new messages
// go.
//
//	KEYS: those of luaTake, then a list for each letter
//	ARGV: for each letter its id and its envelope
//	Result: how many there were
//	Atomic. Workers of both languages read the lists.
var replayScript = redis.NewScript(-1, luaTake+`
local n = 0
for i = 1, #ARGV, 2 do
  if take(ARGV[i]) then
    redis.call('LPUSH', KEYS[3 + (i + 1) / 2], ARGV[i + 1])
    n = n + 1
  end
end
return n
`)

// letterJSON writes a letter as keyspace.deadLetters has it.
func letterJSON(queue, reason string, now time.Time, envelope []byte) ([]byte, error) {
	return protocol.Marshal(protocol.Object{
		{Name: "reason", Value: reason},
		{Name: "time", Value: json.Number(strconv.FormatInt(now.Unix(), 10))},
		{Name: "queue", Value: queue},
		{Name: "envelope", Value: protocol.Raw(envelope)},
	})
}

// letter is a dead letter with the element that it was.
type letter struct {
	broker.DeadLetter
	envelope []byte
}

// parseLetter never fails: a letter that cannot be read, as a hand may leave one,
// hides no other; it counts as one that holds no message.
func parseLetter(id, queue string, raw []byte) letter {
	l := letter{DeadLetter: broker.DeadLetter{ID: id, Queue: queue}}
	fields, err := protocol.SplitObject(raw)
	if err != nil {
		l.Message = &protocol.Message{Malformed: fmt.Sprintf("the letter cannot be read: %v", err), Body: raw}
		return l
	}
	for _, f := range fields {
		switch f.Name {
		case "reason":
			l.Reason = textOf(f.Value)
		case "time":
			if seconds, err := strconv.ParseInt(string(f.Value), 10, 64); err == nil {
				l.Time = time.Unix(seconds, 0).UTC()
			}
		case "envelope":
			l.envelope = f.Value
		}
	}
	l.Message, _ = decodeEnvelope(l.envelope)
	return l
}

// ListDead returns dead letters, the newest first.
func (b *Broker) ListDead(ctx context.Context, queue string, max int) ([]broker.DeadLetter, error) {
	if max <= 0 {
		return nil, nil
	}
	ids, err := b.deadIDs(ctx, queue, max)
	if err != nil {
		return nil, err
	}
	var out []broker.DeadLetter
	for page := range slices.Chunk(ids, deadPage) {
		letters, err := b.readLetters(ctx, queue, page)
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			out = append(out, l.DeadLetter)
		}
	}
	return out, nil
}

// deadIDs are the ids of at most max letters, the newest first; max 0 means all.
func (b *Broker) deadIDs(ctx context.Context, queue string, max int) (ids []string, err error) {
	err = b.with(ctx, "list dead letters of "+queue, func(conn redis.Conn) (err error) {
		ids, err = redis.Strings(conn.Do("LRANGE", b.keys.dead(queue), 0, max-1))
		return err
	})
	return ids, err
}

// readLetters leaves out what is gone.
func (b *Broker) readLetters(ctx context.Context, queue string, ids []string) ([]letter, error) {
	var raw [][]byte
	err := b.with(ctx, "read dead letters of "+queue, func(conn redis.Conn) (err error) {
		raw, err = redis.ByteSlices(conn.Do("HMGET", redis.Args{b.keys.deadLetters(queue)}.AddFlat(ids)...))
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []letter
	for i, r := range raw {
		if r != nil {
			out = append(out, parseLetter(ids[i], queue, r))
		}
	}
	return out, nil
}

// ReplayDead puts letters back on the queue, each on the list of its priority,
// the oldest first.
func (b *Broker) ReplayDead(ctx context.Context, queue string, ids ...string) (int, error) {
	all, err := b.deadIDs(ctx, queue, 0)
	if err != nil {
		return 0, err
	}
	if len(ids) > 0 {
		all = slices.DeleteFunc(all, func(id string) bool { return !slices.Contains(ids, id) })
	}
	slices.Reverse(all)
	total := 0
	var refused error
	for page := range slices.Chunk(all, deadPage) {
		letters, err := b.readLetters(ctx, queue, page)
		if err != nil {
			return total, errors.Join(err, refused)
		}
		var args []any
		args, err = b.replayArgs(queue, letters)
		refused = errors.Join(refused, err)
		n, err := b.runDead(ctx, "replay dead letters of "+queue, replayScript, args)
		total += n
		if err != nil {
			return total, errors.Join(err, refused)
		}
	}
	return total, refused
}

// replayArgs are replayScript's for the letters that hold a message; the error
// names the others.
func (b *Broker) replayArgs(queue string, letters []letter) (args []any, refused error) {
	lists, moves := b.letterKeys(queue), []any{}
	for _, l := range letters {
		if l.Message.Malformed != "" {
			refused = errors.Join(refused, fmt.Errorf("%w: %s of %s holds no message: %s", broker.ErrNotReplayed, l.ID, queue, l.Message.Malformed))
			continue
		}
		lists = append(lists, b.keys.listFor(queue, l.Message.Properties.Priority))
		moves = append(moves, l.ID, l.envelope)
	}
	return append(append([]any{len(lists)}, lists...), moves...), refused
}

func (b *Broker) letterKeys(queue string) []any {
	return []any{b.keys.dead(queue), b.keys.deadLetters(queue), b.keys.deadBytes(queue)}
}

// DropDead deletes letters.
func (b *Broker) DropDead(ctx context.Context, queue string, ids ...string) (int, error) {
	if len(ids) == 0 {
		all, err := b.deadIDs(ctx, queue, 0)
		if err != nil {
			return 0, err
		}
		slices.Reverse(all) // luaTake looks for each from the oldest on
		ids = all
	}
	total := 0
	for page := range slices.Chunk(ids, maxClaim) {
		args := b.letterKeys(queue)
		for _, id := range page {
			args = append(args, id)
		}
		n, err := b.runDead(ctx, "drop dead letters of "+queue, dropScript, args)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (b *Broker) runDead(ctx context.Context, doing string, script *redis.Script, args []any) (n int, err error) {
	err = b.with(ctx, doing, func(conn redis.Conn) (err error) {
		n, err = redis.Int(script.Do(conn, args...))
		return err
	})
	return n, err
}
