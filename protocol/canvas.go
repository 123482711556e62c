package protocol

import (
	"fmt"
	"time"
)

// Env is what applying a signature takes from its surroundings.
type Env struct {
	// NewID makes task and group ids.
	NewID func() string
	// Now is the base of countdown.
	Now time.Time
	// RootID and ParentID are those of the running task, "" outside one.
	RootID, ParentID string
	// Origin is "gen<pid>@<host>", ReplyTo the rpc result queue ("" for none).
	Origin, ReplyTo string
	// LegacyValues writes arguments with MarshalLegacy, for peers with a kombu
	// before 5.3, and the sizes of chords into their bodies, for workers of
	// Celery 5.0 and older.
	LegacyValues bool
}

// Plan is what must be done to apply a signature, in order: first every group is
// saved and every chord announced to the result backend, then the messages are
// published.
type Plan struct {
	Groups []GroupSave
	Chords []ChordStart
	Sends  []Send
	// Result is the result tuple of the whole (its id is the last task's).
	Result Raw
	// ID is the task id that the result will stand under; the group id for a
	// group.
	ID string
	// Members are the ids of a group's results in order, those of nested groups
	// in their place; nil when it is no group.
	Members []string
}

// GroupSave is a GroupResult that a chord's join needs, because the header has
// groups in it: their results stay lists of their own.
type GroupSave struct {
	ID    string
	Tuple Tuple
}

// ChordStart announces a chord: Size parts will come for the group, and then Body
// is to run.
type ChordStart struct {
	Group string
	Size  int
	// Body is frozen: its options name its task id and what follows it.
	Body Signature
	// RootID is that of the header's tasks.
	RootID string
}

// Send is one task message and the routing that its options ask for.
type Send struct {
	Task *Task
	// Queue, or Exchange and RoutingKey, as the options say; all empty means
	// the sender's own routes for RouteName decide.
	Queue, Exchange, RoutingKey string
	// RouteName is the task that must be known where the message goes: the
	// task itself, or the one that celery.map or celery.starmap calls.
	RouteName string
}

// Apply works out the messages for a signature of any kind, as Celery's canvas
// does: args are prepended to the signature's own and opts override its
// options, except on an immutable signature and for options that freezing has
// fixed (group_id, stamps). Options that are null do not count. The signature
// itself does not change.
func Apply(sig Signature, args []any, opts Object, env Env) (Plan, error) {
	c := canvas{env: env}
	out, err := c.start(sig, args, opts)
	if err != nil {
		return Plan{}, fmt.Errorf("apply signature of %s: %w", sig.Task, err)
	}
	tuple := out.tuple(maxAncestors)
	c.plan.Result, c.plan.ID = tuple.Raw(), out.id
	if out.isGroup {
		c.plan.Members = append([]string{}, tuple.Tasks()...)
	}
	return c.plan, nil
}

// canvas applies one signature.
type canvas struct {
	env  Env
	plan Plan
}

func (c *canvas) start(sig Signature, args []any, opts Object) (*outcome, error) {
	n, err := parse(sig, 0)
	if err != nil {
		return nil, err
	}
	given := make(Object, 0, len(opts))
	for _, f := range opts {
		if decoded(opts, f.Name) != nil {
			given = append(given, f)
		}
	}
	return c.apply(n, args, given)
}

// apply sends a signature.
func (c *canvas) apply(n *node, args []any, opts Object) (*outcome, error) {
	switch n.kind {
	case SubtaskChain:
		return c.applyChain(n, args, opts)
	case SubtaskGroup:
		return c.applyGroup(n, args, opts)
	case SubtaskChord:
		return c.applyChord(n, args, opts)
	}
	return c.send(n.cloneWith(args, opts))
}
