package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// StuckChord is a chord whose parts are all there and that nobody finishes.
type StuckChord struct {
	Group string
	Parts int
	// Idle is the time since its last part, 0 when the chord's keys never expire.
	Idle time.Duration
	// Known chords are finished by the next OrphanChords; of others nobody but
	// their dead finisher knew the body, so they can only be shown.
	Known bool
}

// stuckScript describes one chord.
//
//	KEYS     G.j G.t G.s G.c R
//	ARGV[1]  "1" when parts are ordered
//
// Returns {parts, seconds that G.j is still kept, whether R exists}; an empty
// list for a chord that is not stuck.
var stuckScript = redis.NewScript(5, `
local size = redis.call('GET', KEYS[3])
local count = redis.call(ARGV[1] == '1' and 'ZCARD' or 'LLEN', KEYS[1])
if not size or count ~= size + (redis.call('GET', KEYS[2]) or 0) or redis.call('EXISTS', KEYS[4]) == 1 then
  return {}
end
return {count, redis.call('TTL', KEYS[1]), redis.call('EXISTS', KEYS[5])}
`)

// StuckChords looks through the whole database, some thousand keys per call, for
// chords that are complete and not being finished. cursor is 0 at first and then
// what the last call returned, until that is 0 again. It is for reports to people:
// a chord that is about to be claimed may be among them, so what counts is what
// stays there with a growing Idle.
func (b *Backend) StuckChords(ctx context.Context, cursor uint64) (stuck []StuckChord, next uint64, err error) {
	const step = 2000
	begin := b.keys.group("")
	reply, err := redis.Values(b.do(ctx, "SCAN", cursor, "MATCH", globEscaper.Replace(begin)+"*"+sizeSuffix, "COUNT", step))
	if err != nil {
		return nil, 0, fmt.Errorf("look for stuck chords: %w", err)
	}
	var found []string
	if _, err := redis.Scan(reply, &next, &found); err != nil {
		return nil, 0, fmt.Errorf("look for stuck chords: %w", err)
	}
	for _, key := range found {
		group := strings.TrimSuffix(strings.TrimPrefix(key, begin), sizeSuffix)
		c, err := b.stuck(ctx, group)
		if err != nil {
			return nil, 0, fmt.Errorf("look whether chord %s is stuck: %w", group, err)
		}
		if c != nil {
			stuck = append(stuck, *c)
		}
	}
	return stuck, next, nil
}

var globEscaper = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

func (b *Backend) stuck(ctx context.Context, group string) (*StuckChord, error) {
	key := b.keys.group(group)
	reply, err := redis.Values(b.run(ctx, stuckScript,
		key+partsSuffix, key+addedSuffix, key+sizeSuffix, key+claimSuffix, b.keys.record(group), b.ordered()))
	if err != nil || len(reply) == 0 {
		return nil, err
	}
	c := &StuckChord{Group: group}
	var kept int
	if _, err := redis.Scan(reply, &c.Parts, &kept, &c.Known); err != nil {
		return nil, err
	}
	if kept > 0 {
		c.Idle = max(0, time.Duration(b.chordTTL()-kept)*time.Second)
	}
	return c, nil
}
