package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// StartChord clears the claim of a former run under the same group id and writes
// the chord's size, before any of its parts can arrive. (Celery does both only
// before its last header message, and so loses the parts of a second run that
// finish earlier.)
func (b *Backend) StartChord(ctx context.Context, chord protocol.ChordStart) error {
	key := b.groupKey(chord.Group)
	err := b.transaction(ctx,
		command{"DEL", redis.Args{key + claimSuffix}},
		command{"SET", b.expiring(redis.Args{key + sizeSuffix, chord.Size}, b.chordTTL())},
	)
	if err != nil {
		return fmt.Errorf("start chord %s: %w", chord.Group, err)
	}
	return nil
}

// OrphanChords finds no orphans yet.
func (b *Backend) OrphanChords(context.Context) ([]backend.OrphanChord, error) { return nil, nil }

// GrowChord adds to the number of awaited parts (add_to_chord).
func (b *Backend) GrowChord(ctx context.Context, group string, by int) error {
	key := b.groupKey(group) + addedSuffix
	commands := []command{{"INCRBY", redis.Args{key, by}}}
	if ttl := b.chordTTL(); ttl > 0 {
		commands = append(commands, command{"EXPIRE", redis.Args{key, ttl}})
	}
	if err := b.transaction(ctx, commands...); err != nil {
		return fmt.Errorf("grow chord %s: %w", group, err)
	}
	return nil
}

// PutGroup saves a GroupResult, which makes a chord with this group id join by
// the results of the tuple's members instead of the collected parts.
func (b *Backend) PutGroup(ctx context.Context, group string, tuple protocol.Raw) error {
	data, err := protocol.Marshal(protocol.Object{{Name: "result", Value: tuple}})
	if err != nil {
		return fmt.Errorf("save group %s: %w", group, err)
	}
	args := b.expiring(redis.Args{b.groupKey(group), []byte(data)}, seconds(b.cfg.Expires))
	if _, err := b.do(ctx, "SET", args...); err != nil {
		return fmt.Errorf("save group %s: %w", group, err)
	}
	return nil
}

// AddPart records a finished header member and returns a join to the caller that
// must now run the body.
//
// After an error the part may be recorded or not, and the claim may be the
// caller's or not: it calls again, with the same part, until there is no error.
// A claim whose holder died lapses by itself after claimTTL; the next part of
// that chord to arrive, a duplicate included, gets it.
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
	encoded, err := encodePart(part.Result)
	if err != nil {
		return nil, err
	}
	beginning, err := partBeginning(part.Result.TaskID)
	if err != nil {
		return nil, err
	}
	ordered := 1
	if b.cfg.UnorderedChords {
		ordered = 0
	}
	chordTTL, groupTTL := b.chordTTL(), seconds(b.cfg.Expires)
	if chordTTL == 0 {
		groupTTL = 0
	}
	key := b.groupKey(part.Group)
	won, err := redis.Int(b.run(ctx, partScript,
		key+partsSuffix, key+addedSuffix, key+sizeSuffix, key+countedSuffix, key, key+claimSuffix,
		part.Result.TaskID, encoded, ordered, indexText(part.Index), chordTTL, groupTTL,
		token, claimTTL, beginning, part.Body.ChordSize,
	))
	if err != nil || won == 0 {
		return nil, err
	}
	return b.join(ctx, part.Group, token, won == 2)
}

// join is what the holder of a claim gets. A janitor that has taken the claim of
// a dead holder starts here too.
func (b *Backend) join(ctx context.Context, group, token string, sizeless bool) (*backend.ChordJoin, error) {
	parts, err := b.parts(ctx, group)
	if err != nil {
		return nil, err
	}
	key := b.groupKey(group)
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
				key+addedSuffix, key+sizeSuffix, key+countedSuffix, token, doneTTL)
			return err
		},
		Failed: func(ctx context.Context) error {
			_, err := run(ctx, "end it as failed", failedScript, key+sizeSuffix, key+claimSuffix, token, doneTTL)
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

// expiring adds EX to the arguments of SET.
func (b *Backend) expiring(args redis.Args, ttl int) redis.Args {
	if ttl == 0 {
		return args
	}
	return args.Add("EX", ttl)
}

type command struct {
	name string
	args redis.Args
}

// transaction runs commands in MULTI and EXEC, in one round trip.
func (b *Backend) transaction(ctx context.Context, commands ...command) error {
	conn, err := b.conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.Send("MULTI") // an error of Send shows at EXEC
	for _, c := range commands {
		conn.Send(c.name, c.args...)
	}
	replies, err := redis.Values(conn.Do("EXEC"))
	if err != nil {
		return b.classify(err)
	}
	for _, r := range replies {
		if err, ok := r.(redis.Error); ok {
			return b.classify(err)
		}
	}
	return nil
}
