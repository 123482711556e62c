package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// StartChord writes the chord's size and clears what a former run under the same
// group id left, before any of its parts can arrive. (Celery does so only before
// its last header message, and so loses the parts of a second run that finish
// earlier.)
func (b *Backend) StartChord(ctx context.Context, chord protocol.ChordStart) error {
	body, err := encodeBody(chord.Body)
	if err != nil {
		return fmt.Errorf("start chord %s: %w", chord.Group, err)
	}
	key := b.keys.group(chord.Group)
	_, err = b.run(ctx, startScript,
		key+partsSuffix, key+addedSuffix, key+sizeSuffix, key+countedSuffix, key+claimSuffix,
		b.keys.record(chord.Group), b.keys.index(),
		chord.Size, b.chordTTL(), b.ordered(), chord.Group, body, chord.RootID, lookEvery,
	)
	if err != nil {
		return fmt.Errorf("start chord %s: %w", chord.Group, err)
	}
	return nil
}

// encodeBody writes the body for the record; none is "".
func encodeBody(body protocol.Signature) (string, error) {
	if body.Task == "" {
		return "", nil
	}
	raw, err := protocol.Marshal(body)
	return string(raw), err
}

// GrowChord adds to the number of awaited parts (add_to_chord).
func (b *Backend) GrowChord(ctx context.Context, group string, by int) error {
	key := b.keys.group(group) + addedSuffix
	commands := []command{{"INCRBY", redis.Args{key, by}}}
	if ttl := b.chordTTL(); ttl > 0 {
		commands = append(commands, command{"EXPIRE", redis.Args{key, ttl}})
	}
	if err := b.transaction(ctx, commands...); err != nil {
		return fmt.Errorf("grow chord %s: %w", group, err)
	}
	return nil
}

// AddPart records a finished header member and returns a join to the caller that
// must now run the body.
//
// After an error the part may be recorded or not, and the claim may be the
// caller's or not: it calls again, with the same part, until there is no error.
// A claim whose holder died lapses by itself after claimTTL; then the next part of
// that chord to arrive, a duplicate included, gets it, or OrphanChords.
func (b *Backend) AddPart(ctx context.Context, part backend.Part) (*backend.ChordJoin, error) {
	token := b.claims.token(part)
	join, err := b.addPart(ctx, part, token)
	if err != nil {
		b.claims.keep(part, token)
		return nil, fmt.Errorf("chord %s: part of task %s: %w", part.Group, part.Result.TaskID, err)
	}
	return join, nil
}

func (b *Backend) addPart(ctx context.Context, part backend.Part, token string) (*backend.ChordJoin, error) {
	encoded, err := b.encodePart(part.Result)
	if err != nil {
		return nil, err
	}
	beginning, err := b.partBeginning(part.Result.TaskID)
	if err != nil {
		return nil, err
	}
	body, err := encodeBody(part.Body)
	if err != nil {
		return nil, err
	}
	key := b.keys.group(part.Group)
	won, err := redis.Int(b.run(ctx, partScript,
		key+partsSuffix, key+addedSuffix, key+sizeSuffix, key+countedSuffix, key, key+claimSuffix,
		b.keys.record(part.Group), b.keys.index(),
		part.Result.TaskID, encoded, b.ordered(), indexText(part.Index), b.chordTTL(), b.groupTTL(),
		token, claimTTL, beginning, part.Body.ChordSize, part.Group, body, part.RootID, lookEvery,
		b.partPadding(),
	))
	if err != nil || won == 0 {
		return nil, err
	}
	return b.join(ctx, part.Group, token, won == 2)
}

// join is what the holder of a claim gets. One that has taken the claim of a dead
// holder starts here too.
func (b *Backend) join(ctx context.Context, group, token string, sizeless bool) (*backend.ChordJoin, error) {
	parts, err := b.parts(ctx, group)
	if err != nil {
		return nil, err
	}
	key := b.keys.group(group)
	alive := key + sizeSuffix
	if sizeless {
		alive = key + partsSuffix
	}
	run := func(ctx context.Context, doing string, s *redis.Script, keysAndArgs ...any) (bool, error) {
		ok, err := redis.Bool(b.run(ctx, s, keysAndArgs...))
		if err != nil {
			return false, fmt.Errorf("chord %s: %s: %w", group, doing, err)
		}
		return ok, nil
	}
	return &backend.ChordJoin{
		Parts: parts,
		Extend: func(ctx context.Context) (bool, error) {
			return run(ctx, "renew the claim", extendScript, key+claimSuffix, alive, token, publishTTL)
		},
		Done: func(ctx context.Context) error {
			_, err := run(ctx, "forget the parts", doneScript, key+claimSuffix, key+partsSuffix,
				key+addedSuffix, key+sizeSuffix, key+countedSuffix, b.keys.record(group), b.keys.index(),
				token, doneTTL, group)
			return err
		},
		Failed: func(ctx context.Context) error {
			_, err := run(ctx, "end it as failed", failedScript, key+sizeSuffix, key+claimSuffix,
				b.keys.record(group), b.keys.index(), token, doneTTL, group)
			return err
		},
	}, nil
}

func indexText(index *int) string {
	if index == nil {
		return "+inf"
	}
	return strconv.Itoa(*index)
}

func (b *Backend) chordTTL() int { return seconds(b.cfg.ChordExpires) }

// groupTTL is how long a saved group is kept: users read it, and its chord needs
// it to the end.
func (b *Backend) groupTTL() int {
	results, chord := seconds(b.cfg.Expires), b.chordTTL()
	if results == 0 || chord == 0 {
		return 0
	}
	return max(results, chord)
}

// ordered is 1 or 0, as the scripts take it.
func (b *Backend) ordered() int {
	if b.cfg.UnorderedChords {
		return 0
	}
	return 1
}
