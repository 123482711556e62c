package protocol

import (
	"fmt"
	"slices"
)

// consumedByChord are options that drive Celery's polling of chords and reach
// no task.
var consumedByChord = []string{"interval", "max_retries", "eager"}

// applyChord freezes the body, so that every header task can name it, and sends
// the header. Options go to both, but what says where the whole belongs (task
// id, chord, steps that follow) to the body alone, and a delay to the header
// alone. An empty header sends the body with an empty list.
func (c *canvas) applyChord(n *node, args []any, opts Object) (*outcome, error) {
	if n.immutable || len(args) == 0 {
		args = n.args
	} else {
		args = slices.Concat(args, n.args)
	}
	options := overlay(n.opts, opts).Without(consumedByChord...)
	delay := pick(options, "countdown", "eta")
	bodyID, gid := textOption(options, "task_id"), c.headerID(n)
	body := n.body.cloneWith(nil, opts.Without("countdown", "eta", "link", "link_error", "parent_id", "task_id"))
	root := body.text("root_id") // what the chord itself is set to comes later, as in Celery
	body, err := addCallbacks(body, listOption(options, "link"), listOption(options, "link_error"))
	if err != nil {
		return nil, err
	}
	options = options.Without("countdown", "eta", "link", "link_error", "task_id")
	var fixed []string
	if _, member := body.opts.Get("chord"); member {
		fixed = []string{"group_id"}
	}
	body.opts = overlay(body.opts, options.Without("parent_id"), fixed...)
	out, err := c.freezeBody(body, membership{id: bodyID, group: gid, root: root})
	if err != nil {
		return nil, err
	}
	header := newGroup(&members{slices.Clone(n.members().list)}, Object{{"task_id", gid}})
	headerOut, err := c.freezeGroup(header, membership{group: gid, chord: body, root: root})
	if err != nil {
		return nil, err
	}
	out.parent = headerOut
	if len(header.tasks.list) == 0 {
		_, err := c.apply(body, []any{[]any{}}, nil)
		return out, err
	}
	c.saveGroup(headerOut)
	options = append(options.Without("chain", "chord"), delay...)
	if headerOut, err = c.applyGroup(header, args, options); err == nil {
		out.parent = headerOut
	}
	return out, err
}

// members are the header's tasks, whether or not it is frozen.
func (n *node) members() *members {
	if n.header != nil {
		return n.header.tasks
	}
	return n.tasks
}

// headerID is the id of the chord's group. A frozen chord has it in task_id,
// which otherwise names both the group and the body.
func (c *canvas) headerID(n *node) string {
	if id := n.text("task_id"); id != "" {
		return id
	}
	if n.headerID != "" {
		return n.headerID
	}
	return c.env.NewID()
}

func (c *canvas) freezeBody(body *node, m membership) (*outcome, error) {
	if body.kind == SubtaskChain {
		body.unrollChords()
	}
	out, err := c.freeze(body, m)
	if err != nil {
		return nil, fmt.Errorf("chord body: %w", err)
	}
	stripHeaderLinks(body)
	return out, nil
}

// saveGroup keeps the structure of a header whose results are groups
// themselves: the body gets them as lists in a list.
func (c *canvas) saveGroup(header *outcome) {
	if slices.ContainsFunc(header.members, func(m *outcome) bool { return m.isGroup }) {
		c.plan.Groups = append(c.plan.Groups, GroupSave{ID: header.id, Tuple: header.tuple(maxAncestors)})
	}
}

// freezeChord freezes the header and then the body, whose result follows the
// header's. The header's id becomes the chord's own.
func (c *canvas) freezeChord(n *node, m membership) (*outcome, error) {
	if n.header == nil {
		n.header = newGroup(n.tasks, nil)
		if n.headerID != "" {
			n.header.set("task_id", n.headerID)
		}
	}
	header, err := c.freezeGroup(n.header, membership{chord: n.body, root: m.root, parent: m.parent})
	if err != nil {
		return nil, err
	}
	n.set("task_id", header.id)
	m.parent = ""
	out, err := c.freeze(n.body, m)
	if err != nil {
		return nil, err
	}
	first, err := out.first()
	if err != nil {
		return nil, err
	}
	first.parent = header
	return out, nil
}

// ledByTask reports whether a chord's body is a chain whose first step is not a
// group: such a chain is split. A group with steps behind it must stay whole.
func ledByTask(body *node) bool {
	return body.kind == SubtaskChain && len(body.tasks.list) > 0 && body.tasks.list[0].kind != SubtaskGroup
}

// unrollBody returns the chord with only the first step of its body, and the
// other steps. Every header task carries a copy of the body: a whole chain in
// each would multiply at every chord that follows.
func (n *node) unrollBody() []*node {
	chord := n.clone()
	steps := chord.body.unchain()
	var first Object
	for _, f := range chord.body.opts {
		if !slices.Contains(consumedByChain, f.Name) {
			first = append(first, f)
		}
	}
	chord.body = steps[0].cloneWith(nil, first)
	return append([]*node{chord}, steps[1:]...)
}

// unrollChords splits the chords among the steps of a chain that is about to be
// sent as a chord's body.
func (n *node) unrollChords() {
	pending := slices.Clone(n.tasks.list)
	var steps []*node
	for len(pending) > 0 {
		t := pending[0]
		pending = pending[1:]
		if t.kind == SubtaskChain {
			t = t.clone()
			t.unrollChords()
		}
		if t.kind == SubtaskChord && ledByTask(t.body) {
			pending = append(t.unrollBody(), pending...)
		} else {
			steps = append(steps, t)
		}
	}
	n.tasks = &members{steps}
}

// stripHeaderLinks removes the body from the header tasks of chords that are
// not sent yet: they carry it among their own members, and whoever sends one
// puts it there again.
func stripHeaderLinks(n *node) {
	switch n.kind {
	case SubtaskChord:
		if n.header != nil {
			clearChord(n.header)
		}
		for _, t := range n.members().list {
			stripHeaderLinks(t)
		}
		stripHeaderLinks(n.body)
	case SubtaskGroup, SubtaskChain:
		last := len(n.tasks.list) - 1
		for i, t := range n.tasks.list {
			if n.kind == SubtaskChain && t.kind == SubtaskGroup && i < last { // will be a header
				clearChord(t)
			}
			stripHeaderLinks(t)
		}
	}
}

// clearChord removes the chord that the last tasks of a signature contribute to.
func clearChord(n *node) {
	n.opts = n.opts.Without("chord")
	switch n.kind {
	case SubtaskGroup:
		for _, t := range n.tasks.list {
			clearChord(t)
		}
	case SubtaskChain:
		if l := n.tasks.list; len(l) > 0 {
			clearChord(l[len(l)-1])
		}
	case SubtaskChord:
		clearChord(n.body)
	}
}
