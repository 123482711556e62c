package redis

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// putScript stores one result and tells subscribers, in one atomic step, unless
// a success is stored already.
//
//	KEYS[1]  the result's key (string); also the name of the channel
//	ARGV[1]  the result's JSON
//	ARGV[2]  seconds to keep it, 0 for ever
//	ARGV[3]  SHA-1 of a stored value that the caller has looked at and may
//	         overwrite, "" at first
//
// Returns 1 when stored, 0 when a success is stored, and the stored value
// itself when the caller must look: it begins neither as Celery's and our JSON
// do, nor has the given SHA-1 (it is compressed, or of a foreign writer).
// Readers of the key and the channel: every Celery client and ours.
var putScript = redis.NewScript(1, `
local head = redis.call('GETRANGE', KEYS[1], 0, 19)
if head == '{"status": "SUCCESS"' then
  return 0
end
if head ~= '' and string.sub(head, 1, 11) ~= '{"status": ' then
  local stored = redis.call('GET', KEYS[1])
  if redis.sha1hex(stored) ~= ARGV[3] then
    return stored
  end
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
`)

// putting is one result on its way to Redis.
type putting struct {
	id, key string
	payload []byte
	expires int
	seen    string
}

// Put stores the results in one round trip and publishes each to its watchers,
// in the order given. A stored SUCCESS stays as it is, which is no error. One that
// is larger than Redis holds matches backend.ErrTooLarge, and then none is stored.
// After another error some results may be stored and some not; putting all of them
// again is safe.
func (b *Backend) Put(ctx context.Context, results ...backend.Put) error {
	todo := make([]putting, len(results))
	for i, r := range results {
		payload, err := b.encodeResult(r.Result)
		if err != nil {
			return fmt.Errorf("store result of %s: %w", r.Result.TaskID, err)
		}
		expires := b.cfg.Expires
		if r.Result.Status == protocol.StateFailure {
			expires = b.cfg.FailureExpires
		}
		todo[i] = putting{
			id: r.Result.TaskID, key: b.keys.task(r.Result.TaskID), payload: payload,
			expires: seconds(cmp.Or(r.Expires, expires)),
		}
	}
	conn, err := b.conn(ctx)
	if err != nil {
		return fmt.Errorf("store results: %w", err)
	}
	defer conn.Close()
	for len(todo) > 0 {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("store results: %w", err)
		}
		if todo, err = b.putOnce(conn, todo); err != nil {
			return err
		}
	}
	return nil
}

// putOnce sends all results and returns those to be sent again, because the
// server did not know the script or because what is stored had to be looked at.
// The first error is reported after every reply is read.
func (b *Backend) putOnce(conn redis.Conn, todo []putting) (again []putting, err error) {
	for _, p := range todo {
		if err := putScript.SendHash(conn, p.key, p.payload, p.expires, p.seen); err != nil {
			return nil, fmt.Errorf("store results: %w", b.classify(err))
		}
	}
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("store results: %w", b.classify(err))
	}
	unknownScript := false
	for _, p := range todo {
		reply, rerr := conn.Receive()
		stored, look := reply.([]byte)
		switch {
		case rerr != nil && strings.HasPrefix(rerr.Error(), "NOSCRIPT"):
			unknownScript = true
			again = append(again, p)
		case rerr != nil && err == nil:
			err = fmt.Errorf("store result of %s: %w", p.id, b.classify(rerr))
		case look && !b.isSuccess(p.id, stored):
			sum := sha1.Sum(stored)
			p.seen = hex.EncodeToString(sum[:])
			again = append(again, p)
		}
	}
	if unknownScript && err == nil {
		if lerr := putScript.Load(conn); lerr != nil {
			err = fmt.Errorf("store results: load script: %w", b.classify(lerr))
		}
	}
	return again, err
}

// isSuccess reports whether a stored value is known to be a SUCCESS. What cannot
// be read protects nothing: a result that nobody here can read must not keep a
// task from ending.
func (b *Backend) isSuccess(id string, stored []byte) bool {
	r, err := b.decodeResult(id, stored)
	return err == nil && r.Status == protocol.StateSuccess
}
