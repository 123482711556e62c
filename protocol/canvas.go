package protocol

import (
	"errors"
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
}

// Plan is what must be done to apply a signature, in order: first every chord
// is announced to the result backend, then the messages are published.
type Plan struct {
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
	// the sender's own routes decide.
	Queue, Exchange, RoutingKey string
}

// Apply works out the messages for a signature of any kind, as Celery's canvas
// does: args are prepended to the signature's own and opts override its
// options, except on an immutable signature and for options that freezing has
// fixed (group_id, stamps).
func Apply(sig Signature, args []any, opts Object, env Env) (Plan, error) {
	c := canvas{env: env}
	merged := sig.merge(args, opts)
	out, err := c.apply(merged)
	if err != nil {
		return Plan{}, fmt.Errorf("apply signature of %s: %w", sig.Task, err)
	}
	c.plan.Result, c.plan.ID, c.plan.Members = out.tuple(), out.id, out.members()
	return c.plan, nil
}

// merge follows Signature._merge: null options do not count; group_id and
// stamps that are already set stay.
func (s Signature) merge(args []any, opts Object) Signature {
	s = s.Clone()
	fixed := map[string]bool{"group_id": true, "stamped_headers": true}
	if names, ok := s.option("stamped_headers").([]any); ok {
		for _, n := range names {
			if n, ok := n.(string); ok {
				fixed[n] = true
			}
		}
	}
	for _, f := range opts {
		if f.Value == nil {
			continue
		}
		if _, has := s.Options.Get(f.Name); has && fixed[f.Name] {
			continue
		}
		s.Options = s.Options.Set(f.Name, f.Value)
	}
	if !s.Immutable && len(args) > 0 {
		s.Args = append(append([]any(nil), args...), s.Args...)
	}
	return s
}

// outcome is the result handle of something frozen or applied.
type outcome struct {
	id      string
	parent  *outcome
	group   []*outcome // members, for a group
	isGroup bool
	size    int // parts that it contributes to an enclosing chord
}

func (o *outcome) tuple() Raw {
	var parent Raw
	if o.parent != nil {
		parent = o.parent.tuple()
	}
	if !o.isGroup {
		return ResultTuple(o.id, parent)
	}
	members := make([]Raw, len(o.group))
	for i, m := range o.group {
		members[i] = m.tuple()
	}
	return GroupTuple(o.id, parent, members)
}

func (o *outcome) members() []string {
	if !o.isGroup {
		return nil
	}
	ids := []string{}
	for _, m := range o.group {
		if m.isGroup { // a member that ends in a group has results of its own only there
			ids = append(ids, m.members()...)
		} else {
			ids = append(ids, m.id)
		}
	}
	return ids
}

type canvas struct {
	env  Env
	plan Plan
}

// apply sends a signature whose options are final.
func (c *canvas) apply(s Signature) (*outcome, error) {
	switch s.SubtaskType {
	case SubtaskChain:
		return c.applyChain(s)
	case SubtaskGroup:
		return c.applyGroup(s)
	case SubtaskChord:
		return c.applyChord(s)
	case SubtaskChunks:
		return c.applyChunks(s)
	}
	s, out := c.freezePlain(s, membership{})
	return out, c.send(s)
}

func (c *canvas) applyChain(s Signature) (*outcome, error) {
	steps, out, err := c.prepareChain(s, membershipOf(s))
	if err != nil {
		return nil, err
	}
	// The steps of an outer chain come after ours; the list is reversed, so
	// they stand before them.
	rest, err := s.signatures("chain")
	if err != nil {
		return nil, err
	}
	last := len(steps) - 1
	rest = append(append([]Signature(nil), rest...), steps[:last]...)
	opts := Object{}
	if len(rest) > 0 {
		opts = opts.Set("chain", rest)
	}
	first := steps[last]
	for _, name := range []string{"countdown", "eta", "expires", "priority", "queue", "exchange", "routing_key", "headers", "root_id", "parent_id", "ignore_result"} {
		if v, ok := s.Options.Get(name); ok {
			opts = opts.Set(name, v)
		}
	}
	if _, err := c.apply(first.merge(s.Args, opts)); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *canvas) applyGroup(s Signature) (*outcome, error) {
	frozen, out, err := c.freeze(s, membershipOf(s))
	if err != nil {
		return nil, err
	}
	members, err := frozen.members()
	if err != nil {
		return nil, err
	}
	opts := s.Options.Without("task_id", "group_id", "group_index", "chord", "chain", "link", "link_error")
	for _, m := range members {
		if _, err := c.apply(m.merge(s.Args, opts)); err != nil {
			return nil, err
		}
	}
	return out, c.applyAfterGroup(s)
}

// applyAfterGroup refuses what a group cannot carry: steps after it must have
// been made a chord by then.
func (c *canvas) applyAfterGroup(s Signature) error {
	rest, err := s.signatures("chain")
	if err == nil && len(rest) > 0 {
		err = errors.New("a group with steps after it is a chord: build it as one")
	}
	return err
}

func (c *canvas) applyChord(s Signature) (*outcome, error) {
	header, body, err := s.chordParts()
	if err != nil {
		return nil, err
	}
	m := membershipOf(s)
	gid := header.text("task_id")
	if gid == "" {
		gid = c.env.NewID()
		header.Options = header.Options.Set("task_id", gid)
	}
	body = body.merge(nil, s.Options.Without("task_id", "group_id", "group_index", "chord", "countdown", "eta", "root_id", "parent_id"))
	under := m.under(gid)
	under.parent = "" // the header member that comes last is the parent
	body, out, err := c.freeze(body, under)
	if err != nil {
		return nil, err
	}
	header, hout, err := c.freeze(header, membership{chord: &body, root: m.root, parent: m.parent})
	if err != nil {
		return nil, err
	}
	out.first().parent = hout
	members, err := header.members()
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		_, err := c.apply(body.merge([]any{[]any{}}, nil))
		return out, err
	}
	c.plan.Chords = append(c.plan.Chords, ChordStart{Group: gid, Size: hout.size, Body: body, RootID: m.root})
	opts := pick(s.Options, "countdown", "eta", "root_id", "parent_id")
	for _, h := range members {
		if _, err := c.apply(h.merge(s.Args, opts)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// first is the earliest outcome of a chain, the one a preceding group leads to.
func (o *outcome) first() *outcome {
	for o.parent != nil {
		o = o.parent
	}
	return o
}

func pick(o Object, names ...string) Object {
	out := Object{}
	for _, n := range names {
		if v, ok := o.Get(n); ok {
			out = append(out, Field{n, v})
		}
	}
	return out
}

// applyChunks turns chunks into the group of starmap tasks that Celery sends.
func (c *canvas) applyChunks(s Signature) (*outcome, error) {
	it, _ := s.Kwargs.Get("it")
	raw, err := Marshal(it)
	if err != nil {
		return nil, err
	}
	items, err := SplitArray(raw)
	if err != nil {
		return nil, fmt.Errorf("chunks: it is not a list: %w", err)
	}
	nv, _ := s.Kwargs.Get("n")
	if raw, ok := nv.(Raw); ok {
		nv, _ = Decode(raw)
	}
	n := int(Float(nv))
	if n < 1 {
		return nil, fmt.Errorf("chunks: n must be at least 1")
	}
	task, _ := s.Kwargs.Get("task")
	group := Signature{Task: TaskGroup, SubtaskType: SubtaskGroup, Options: s.Options}
	var members []Signature
	for start := 0; start < len(items); start += n {
		members = append(members, Signature{
			Task: TaskStarmap, SubtaskType: SubtaskStarmap, Immutable: true,
			Kwargs: Object{{"task", task}, {"it", items[start:min(start+n, len(items))]}},
		})
	}
	group.Kwargs = Object{{"tasks", members}}
	return c.applyGroup(group)
}
