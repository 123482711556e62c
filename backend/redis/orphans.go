package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// orphansAtOnce is how many chords one call of OrphanChords looks at.
	orphansAtOnce = 50
	// adoptTime is for how long it goes on when it has found one: the claims that
	// it hands over should still be held.
	adoptTime = claimTTL * time.Second / 2
)

// dueScript lists chords whose time to be looked at has come, the longest due
// first.
//
//	KEYS[1]  I
//	ARGV[1]  how many
//
// Returns their groups.
var dueScript = redis.NewScript(1, `
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1], 'LIMIT', 0, ARGV[1])
`)

// orphanScript looks at one chord. It claims one whose parts are all there and
// that nobody holds, forgets one that has ended, and has any other looked at
// again later: soon after a present claim may lapse. That is set before anything
// is read, so that chords with keys of a wrong type, at which the script ends in
// an error, do not stay the longest due and hide all others. Where a part came
// from a peer of Celery < 5.7, which finishes a chord without a claim, it must
// have been found complete once before: that peer may be at it now.
//
//	KEYS     G.j G.t G.s G.d G.c R I
//	ARGV[1]  group id
//	ARGV[2]  the caller's token
//	ARGV[3]  seconds that a claim lasts
//	ARGV[4]  "1" when parts are ordered
//	ARGV[5]  seconds between two looks
//	ARGV[6]  seconds after which a missing size means that the chord has ended
//
// Returns an empty list, or what R has of a chord that the caller now holds:
// body, root id, size, and 1 when there is no G.s.
var orphanScript = redis.NewScript(7, `
local parts, added, size, counted, claim, record, index = unpack(KEYS)
local id, token, claim_ttl, ordered, every, late = unpack(ARGV)
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', index, 'XX', now + every, id)
local body, root, assumed, since = unpack(redis.call('HMGET', record, 'body', 'root_id', 'chord_size', 'since'))
local count = redis.call(ordered == '1' and 'ZCARD' or 'LLEN', parts)
local announced, holder = redis.call('GET', size), redis.call('GET', claim)
local total = tonumber(announced or assumed or 0)

local ended = holder == 'done'
if not announced then
  ended = ended or count == 0 or total == 0 and now - (since or 0) > tonumber(late)
end
if ended or not body then
  redis.call('DEL', record)
  redis.call('ZREM', index, id)
  return {}
end
if holder then
  redis.call('ZADD', index, now + math.max(1, redis.call('TTL', claim) + 1), id)
  return {}
end
if total == 0 or count ~= total + (redis.call('GET', added) or 0) then
  return {}
end
if redis.call('SCARD', counted) < count and redis.call('HSETNX', record, 'complete', now) == 1 then
  redis.call('ZADD', index, now + claim_ttl, id)
  return {}
end
redis.call('SET', claim, token, 'EX', claim_ttl)
redis.call('ZADD', index, now + claim_ttl, id)
return {body, root, total, announced and 0 or 1}
`)

// OrphanChords claims and returns chords whose finisher has died. It looks at no
// more than fifty chords, fewer where it must wait for the results of saved
// groups: at each about every half minute, sooner where a part added through this
// package completed the chord. Chords that only Python knows are not among them:
// StuckChords finds those.
func (b *Backend) OrphanChords(ctx context.Context) ([]backend.OrphanChord, error) {
	groups, err := redis.Strings(b.run(ctx, dueScript, b.keys.index(), orphansAtOnce))
	if err != nil {
		return nil, fmt.Errorf("look for orphaned chords: %w", err)
	}
	began := time.Now()
	var orphans []backend.OrphanChord
	var failures []error
	for _, group := range groups {
		if len(orphans) > 0 && time.Since(began) > adoptTime {
			break
		}
		orphan, err := b.adopt(ctx, group)
		switch {
		case errors.Is(err, backend.ErrConnection), errors.Is(err, backend.ErrClosed), ctx.Err() != nil:
			return orphans, errors.Join(append(failures, err)...)
		case err != nil:
			failures = append(failures, err)
		case orphan != nil:
			orphans = append(orphans, *orphan)
		}
	}
	return orphans, errors.Join(failures...)
}

// adopt claims the chord if it is an orphan; nil when it is none. After an error
// the claim, if it was taken, lapses by itself.
func (b *Backend) adopt(ctx context.Context, group string) (*backend.OrphanChord, error) {
	key, token := b.keys.group(group), newToken()
	reply, err := redis.Values(b.run(ctx, orphanScript,
		key+partsSuffix, key+addedSuffix, key+sizeSuffix, key+countedSuffix, key+claimSuffix, b.keys.record(group), b.keys.index(),
		group, token, claimTTL, b.ordered(), lookEvery, sizeLate,
	))
	if err != nil {
		return nil, fmt.Errorf("chord %s: look whether it is an orphan: %w", group, err)
	}
	if len(reply) == 0 {
		return nil, nil
	}
	var body []byte
	var sizeless bool
	start := protocol.ChordStart{Group: group}
	if _, err := redis.Scan(reply, &body, &start.RootID, &start.Size, &sizeless); err != nil {
		return nil, fmt.Errorf("chord %s: %w", group, err)
	}
	if start.Body, err = protocol.DecodeSignature(body); err != nil {
		return nil, fmt.Errorf("chord %s: its record cannot be read: %w", group, err)
	}
	if ended, err := b.bodyEnded(ctx, start.Body); err != nil {
		return nil, fmt.Errorf("chord %s: %w", group, err)
	} else if ended {
		return nil, b.forgetRecord(ctx, group)
	}
	join, err := b.join(ctx, group, token, sizeless)
	if err != nil {
		return nil, err
	}
	return &backend.OrphanChord{Start: start, Join: join}, nil
}

// bodyEnded reports whether a chord's body has a final result. Peers of Celery
// < 5.7 leave all keys of a chord that they have failed, and a finisher may have
// died after it sent the body.
func (b *Backend) bodyEnded(ctx context.Context, body protocol.Signature) (bool, error) {
	promised := protocol.Frozen(body)
	if len(promised) == 0 {
		return false, nil
	}
	res, err := b.Get(ctx, promised[0].ID)
	if err != nil {
		return false, fmt.Errorf("look at its body: %w", err)
	}
	return res.Ready(), nil
}

// forgetRecord makes the chord one that nobody looks at any more.
func (b *Backend) forgetRecord(ctx context.Context, group string) error {
	err := b.transaction(ctx,
		command{"DEL", redis.Args{b.keys.record(group)}},
		command{"ZREM", redis.Args{b.keys.index(), group}},
	)
	if err != nil {
		return fmt.Errorf("chord %s: forget its record: %w", group, err)
	}
	return nil
}
