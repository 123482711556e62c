package protocol

import (
	"errors"
	"fmt"
	"slices"
)

// applyGroup sends the members side by side. A group with steps behind it is a
// chord: Celery would give the steps to every member, which is right for one
// alone.
func (c *canvas) applyGroup(n *node, args []any, opts Object) (*outcome, error) {
	for _, name := range []string{"link", "link_error"} {
		if _, ok := opts.Get(name); ok {
			return nil, fmt.Errorf("%s cannot be added to a group when it is sent: use a chord, or add it to the members", name)
		}
	}
	if len(n.tasks.list) == 0 {
		return c.freeze(n, membership{})
	}
	options := overlay(n.opts, opts, fixedOptions...)
	if rest := listOption(options, "chain"); len(rest) > 0 && !n.isGroupOfOne() {
		return c.applyContinued(n, args, options.Without("chain"), rest)
	}
	args = slices.Concat(args, n.args)
	gid := textOption(options, "task_id")
	if gid == "" {
		gid = c.env.NewID()
	}
	options = options.Without("task_id").Set("group_id", gid)
	prepared, results, err := c.prepareGroup(n, gid, textOption(options, "root_id"))
	if err != nil {
		return nil, err
	}
	if err := c.sendMembers(n, prepared, args, options); err != nil {
		return nil, err
	}
	out := groupOutcome(gid, results)
	if len(results) == 1 && results[0].isGroup {
		out = results[0]
	}
	return out, nil
}

// applyContinued sends a group that has steps behind it.
func (c *canvas) applyContinued(n *node, args []any, options Object, rest []any) (*outcome, error) {
	next, err := nodeOf(rest[len(rest)-1])
	if err != nil {
		return nil, fmt.Errorf("option chain: %w", err)
	}
	n = n.deepClone()
	n.leaveGroup()
	chord := newChord(n, next)
	if rest = rest[:len(rest)-1]; len(rest) > 0 {
		options = options.Set("chain", rest)
	}
	if id := next.text("task_id"); id != "" {
		options = options.Set("task_id", id)
	}
	return c.applyChord(chord, args, options)
}

// leaveGroup makes the members of a frozen group free to join another.
func (n *node) leaveGroup() {
	for _, t := range n.tasks.list {
		t.opts = t.opts.Without("group_id", "group_index")
		switch t.kind {
		case SubtaskGroup, SubtaskChain:
			t.leaveGroup()
		case SubtaskChord:
			t.body.opts = t.body.opts.Without("group_id", "group_index")
			if t.body.kind != "" {
				t.body.leaveGroup()
			}
		}
	}
}

// prepareGroup clones and freezes the members, those of nested groups in their
// place. As in Celery group_index restarts in a nested group.
func (c *canvas) prepareGroup(n *node, gid, root string) (tasks []*node, results []*outcome, err error) {
	for i, t := range n.tasks.list {
		t = t.clone()
		if t.isEmptyChain() {
			continue
		}
		if t.kind == SubtaskGroup {
			inner, innerResults, err := c.prepareGroup(t, gid, root)
			if err != nil {
				return nil, nil, err
			}
			tasks, results = append(tasks, inner...), append(results, innerResults...)
			continue
		}
		res, err := c.freeze(t, membership{group: gid, root: root, index: &i})
		if err != nil {
			return nil, nil, err
		}
		tasks, results = append(tasks, t), append(results, res)
	}
	return tasks, results, nil
}

// sendMembers sends the prepared members of a group. When they contribute to
// a chord its size is announced.
func (c *canvas) sendMembers(n *node, members []*node, args []any, options Object) error {
	gid, root := textOption(options, "group_id"), textOption(options, "root_id")
	chord, _ := options.Get("chord")
	chord = settled(chord) // once, not for each member
	var err error
	shared := options.Without("chord", "group_index").Set("add_to_parent", false)
	var size int
	for _, t := range members {
		size += t.size()
	}
	if chord, err = c.sized(chord, size); err != nil {
		return err
	}
	for i, t := range members {
		body := chord
		if body == nil {
			body, _ = t.opts.Get("chord")
		}
		own := shared
		if body != nil {
			own = append(slices.Clone(shared), Field{"chord", body})
			if i == len(members)-1 {
				if err := c.announce(n, gid, root, size, body); err != nil {
					return err
				}
			}
		}
		if _, err := c.apply(t, args, own); err != nil {
			return err
		}
	}
	return nil
}

// sized adds to a chord's body what workers of Celery 5.0 and older count by.
func (c *canvas) sized(chord any, size int) (any, error) {
	if chord == nil || !c.env.LegacyValues {
		return chord, nil
	}
	body, err := signatureOf(chord)
	if err != nil {
		return nil, fmt.Errorf("option chord: %w", err)
	}
	body.ChordSize = size
	return body, nil
}

// announce notes the size of a chord. The members of a group that ends a chain
// in a chord's header count for that chord, whose size includes them; Celery
// writes a size for the inner group too, which nobody reads.
func (c *canvas) announce(n *node, gid, root string, size int, chord any) error {
	if own := n.text("group_id"); own != "" && own != gid {
		return nil
	}
	body, err := signatureOf(settled(chord))
	if err != nil {
		return fmt.Errorf("option chord: %w", err)
	}
	if root == "" {
		root = c.env.RootID
	}
	c.plan.Chords = append(c.plan.Chords, ChordStart{Group: gid, Size: size, Body: body, RootID: root})
	return nil
}

// freezeGroup gives the group an id and freezes clones of its members, which
// take their place. Nested groups are flattened: as in Celery each brings its
// members in reversed order. The body of a chord sees its results in this
// order, and a Python sender of the same canvas gets the same.
func (c *canvas) freezeGroup(n *node, m membership) (*outcome, error) {
	gid := n.text("task_id")
	if gid == "" {
		gid = c.env.NewID()
		n.set("task_id", gid)
	}
	n.join(m)
	m.root, m.parent = n.inherit("root_id", m.root), n.inherit("parent_id", m.parent)
	var tasks []*node
	var results []*outcome
	stack := slices.Clone(n.tasks.list)
	slices.Reverse(stack) // the next one is the last
	for len(stack) > 0 {
		t := stack[len(stack)-1].clone()
		stack = stack[:len(stack)-1]
		if t.kind == SubtaskGroup {
			stack = append(stack, t.tasks.list...)
			continue
		}
		if t.isEmptyChain() {
			continue
		}
		index := len(tasks)
		res, err := c.freeze(t, membership{group: m.group, chord: m.chord, root: m.root, parent: m.parent, index: &index})
		if err != nil {
			return nil, err
		}
		tasks, results = append(tasks, t), append(results, res)
	}
	n.tasks.list = tasks
	return groupOutcome(gid, results), nil
}

// inherit sets an option that is not there yet, to null without a value, and
// returns what stands.
func (n *node) inherit(name, value string) string {
	if _, has := n.opts.Get(name); !has {
		n.set(name, OrNull(value))
	}
	return n.text(name)
}

// chunksGroup is the group of starmap tasks that chunks stands for.
func chunksGroup(s Signature) (Signature, error) {
	it, _ := s.Kwargs.Get("it")
	raw, err := Marshal(it)
	if err != nil {
		return s, fmt.Errorf("chunks: %w", err)
	}
	items, err := SplitArray(raw)
	if err != nil {
		return s, fmt.Errorf("chunks: it is not a list: %w", err)
	}
	n := int(Float(decoded(s.Kwargs, "n")))
	if n < 1 {
		return s, errors.New("chunks: n must be at least 1")
	}
	task, _ := s.Kwargs.Get("task")
	var tasks []Signature
	for chunk := range slices.Chunk(items, n) {
		tasks = append(tasks, Signature{Task: TaskStarmap, Immutable: true, Kwargs: Object{{"task", task}, {"it", chunk}}})
	}
	return Signature{Task: TaskGroup, SubtaskType: SubtaskGroup, Kwargs: Object{{"tasks", tasks}}, Options: s.Options}, nil
}
