package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
)

// maxNesting bounds how deep canvas primitives may lie in each other: a deeper
// signature is an error, not a stack overflow.
const maxNesting = 256

var errNesting = fmt.Errorf("canvas is nested deeper than %d", maxNesting)

// node is a signature while canvas works on it. As in Celery, signatures refer
// to each other and freezing changes them in place: a header member names the
// body that is frozen after it. Only clone makes a copy.
type node struct {
	task, kind string
	args       []any
	kwargs     Object // without the members that canvas works on
	// opts is owned by the node. "chord" may hold a *node, "chain" and the links
	// lists of *node and of what Signature holds.
	opts      Object
	immutable bool
	chordSize int
	// tasks are the members of a chain or group, and of a chord's header until
	// freezing makes that a group of its own. Celery shares the list between
	// a group and the chord that it becomes, so that both see frozen members.
	tasks        *members
	header, body *node
	headerID     string // the id that the header's group was given
}

type members struct{ list []*node }

func newGroup(tasks *members, opts Object) *node {
	return &node{task: TaskGroup, kind: SubtaskGroup, tasks: tasks, opts: opts}
}

// parse builds the tree that canvas works on.
func parse(s Signature, depth int) (*node, error) {
	if depth > maxNesting {
		return nil, errNesting
	}
	if s.SubtaskType == SubtaskChunks {
		group, err := chunksGroup(s)
		if err != nil {
			return nil, err
		}
		s = group
	}
	n := &node{
		task: s.Task, kind: s.SubtaskType, args: s.Args, kwargs: s.Kwargs, opts: slices.Clone(s.Options),
		immutable: s.Immutable, chordSize: s.ChordSize,
	}
	var err error
	switch n.kind {
	case SubtaskChain, SubtaskGroup:
		n.kwargs, n.immutable = nil, false // Celery does not read it of these
		n.tasks, err = parseMembers(s, "tasks", depth)
	case SubtaskChord:
		err = n.parseChord(s, depth)
	default:
		n.kind = ""
	}
	if err != nil && err != errNesting { // which would name every level
		err = fmt.Errorf("%s: %w", s.Task, err)
	}
	return n, err
}

func parseMembers(s Signature, name string, depth int) (*members, error) {
	v, _ := s.Kwargs.Get(name)
	sigs, err := signaturesOf(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := &members{list: make([]*node, len(sigs))}
	for i, sig := range sigs {
		if m.list[i], err = parse(sig, depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// parseChord takes the members of a group or chain that stands as the header. Of
// a group's options only the id counts: Celery drops even that, and names the
// header of a frozen chord in the chord's own task_id.
func (n *node) parseChord(s Signature, depth int) (err error) {
	if n.tasks, err = parseMembers(s, "header", depth); err != nil {
		return err
	}
	hv, _ := s.Kwargs.Get("header")
	if l := n.tasks.list; len(l) == 1 && !isList(hv) && (l[0].kind == SubtaskGroup || l[0].kind == SubtaskChain) {
		n.tasks = l[0].tasks
		if _, frozen := n.opts.Get("task_id"); !frozen && l[0].kind == SubtaskGroup {
			n.headerID = l[0].text("task_id")
		}
	}
	body, err := parseMembers(s, "body", depth)
	if err != nil {
		return err
	}
	if len(body.list) != 1 {
		return fmt.Errorf("a chord needs one body, not %d", len(body.list))
	}
	n.body = body.list[0]
	n.kwargs = s.Kwargs.Without("header", "body")
	if _, ok := n.kwargs.Get("kwargs"); !ok {
		n.kwargs = n.kwargs.Set("kwargs", Object{})
	}
	return nil
}

// isList tells a list of signatures from a single one.
func isList(v any) bool {
	switch v := v.(type) {
	case Signature, *Signature:
		return false
	case json.RawMessage:
		return firstByte(v) == '['
	}
	return true
}

// signature is the value form, independent of the node.
func (n *node) signature() Signature {
	s := Signature{
		Task: n.task, Args: n.args, Kwargs: n.kwargs, SubtaskType: n.kind,
		Immutable: n.immutable, ChordSize: n.chordSize, Options: make(Object, len(n.opts)),
	}
	for i, f := range n.opts {
		s.Options[i] = Field{f.Name, settled(f.Value)}
	}
	switch n.kind {
	case SubtaskChain, SubtaskGroup:
		s.Kwargs = Object{{"tasks", signaturesIn(n.tasks.list)}}
	case SubtaskChord:
		header := any(nil)
		switch {
		case n.header != nil:
			header = n.header.signature()
		case n.headerID != "":
			header = newGroup(n.tasks, Object{{"task_id", n.headerID}}).signature()
		default:
			header = signaturesIn(n.tasks.list)
		}
		s.Kwargs = append(slices.Clone(n.kwargs), Field{"header", header}, Field{"body", n.body.signature()})
	}
	return s
}

func signaturesIn(nodes []*node) []Signature {
	out := make([]Signature, len(nodes))
	for i, n := range nodes {
		out[i] = n.signature()
	}
	return out
}

// settled replaces nodes in an option by their value form.
func settled(v any) any {
	switch v := v.(type) {
	case *node:
		return v.signature()
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = settled(e)
		}
		return out
	}
	return v
}

// merge is Signature._merge: args are prepended unless the signature is
// immutable, options override its own but for group_id and for stamps, which
// somebody already counts on.
func (n *node) merge(args []any, opts Object) ([]any, Object) {
	merged := overlay(n.opts, opts, append(stampNames(n.opts), fixedOptions...)...)
	if n.immutable || len(args) == 0 {
		return n.args, merged
	}
	return slices.Concat(args, n.args), merged
}

var fixedOptions = []string{"group_id", "stamped_headers"}

// overlay returns base with the members of over set, but for fixed ones that
// base has.
func overlay(base, over Object, fixed ...string) Object {
	out := slices.Clone(base)
	for _, f := range over {
		if _, has := base.Get(f.Name); !has || !slices.Contains(fixed, f.Name) {
			out = out.Set(f.Name, f.Value)
		}
	}
	return out
}

func (n *node) clone() *node { return n.cloneWith(nil, nil) }

// cloneWith is a copy with args and options merged in. As in Celery the members
// of a group stay shared, whoever freezes a group clones them.
func (n *node) cloneWith(args []any, opts Object) *node {
	c := *n
	c.args, c.opts = n.merge(args, opts)
	switch n.kind {
	case SubtaskChain:
		c.tasks = cloneAll(n.tasks)
	case SubtaskGroup:
		c.tasks = &members{slices.Clone(n.tasks.list)}
	case SubtaskChord:
		if n.header != nil {
			c.tasks, c.header = n.header.tasks, nil
		} else {
			c.tasks = cloneAll(n.tasks)
		}
		c.body = n.body.clone()
	}
	return &c
}

func cloneAll(m *members) *members {
	out := &members{list: make([]*node, len(m.list))}
	for i, t := range m.list {
		out.list[i] = t.clone()
	}
	return out
}

// deepClone also copies the members of groups.
func (n *node) deepClone() *node {
	c := n.clone()
	if c.kind == "" {
		return c
	}
	for i, t := range c.tasks.list {
		c.tasks.list[i] = t.deepClone()
	}
	if c.kind == SubtaskChord {
		c.body = c.body.deepClone()
	}
	return c
}

func (n *node) set(name string, v any)  { n.opts = n.opts.Set(name, v) }
func (n *node) text(name string) string { return textOption(n.opts, name) }
func (n *node) isEmptyGroup() bool      { return n.kind == SubtaskGroup && len(n.tasks.list) == 0 }
func (n *node) isEmptyChain() bool      { return n.kind == SubtaskChain && len(n.tasks.list) == 0 }

// isGroupOfOne does not count a group in the group, which may have many.
func (n *node) isGroupOfOne() bool {
	return len(n.tasks.list) == 1 && n.tasks.list[0].kind != SubtaskGroup
}

// unrolled is the member of a group of one, for which the group stands.
func (n *node) unrolled() *node {
	if n.kind == SubtaskGroup && len(n.tasks.list) == 1 {
		return n.tasks.list[0]
	}
	return n
}

// size is how many parts it contributes to an enclosing chord: those of the
// last step of a chain, of a chord's body, of all members of a group.
func (n *node) size() int {
	switch n.kind {
	case SubtaskGroup:
		total := 0
		for _, t := range n.tasks.list {
			total += t.size()
		}
		return total
	case SubtaskChain:
		for _, t := range slices.Backward(n.tasks.list) {
			if size := t.size(); size > 0 {
				return size
			}
		}
		return 0
	case SubtaskChord:
		return n.body.size()
	}
	return 1
}
