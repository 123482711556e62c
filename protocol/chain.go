package protocol

import (
	"errors"
	"slices"
)

// consumedByChain are the options that a chain uses itself; the others go to its
// first task.
var consumedByChain = []string{
	"chord", "group_id", "group_index", "link", "link_error", "parent_id", "root_id", "task_id",
}

var errEmptyChain = errors.New("an empty chain cannot be sent")

// applyChain sends the first step, which carries the others. Steps of an outer
// chain, in option chain, come after ours: the list is reversed, so they stand
// before them.
func (c *canvas) applyChain(n *node, args []any, opts Object) (*outcome, error) {
	options := overlay(n.opts, opts)
	args = slices.Concat(args, n.args)
	m := membershipOf(options)
	steps, results, err := c.prepareChain(n, args, m, listOption(options, "link_error"), true)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return nil, errEmptyChain
	}
	steps[0].extendOption("link", listOption(options, "link"))
	rest := listOption(options, "chain")
	last := len(steps) - 1
	for _, s := range steps[:last] {
		rest = append(rest, s)
	}
	options = options.Without(append(consumedByChain, "chain")...)
	if len(rest) > 0 {
		options = options.Set("chain", rest)
	}
	out, err := c.apply(steps[last], nil, options)
	if err != nil || last == 0 {
		return out, err
	}
	return results[0], nil
}

// prepareChain unrolls a chain into tasks, groups and chords, freezes them from
// the last to the first and returns them in that order. Only the last step takes
// the place of the chain in an enclosing canvas. Sending works on clones and
// splits chords (see unrollBody); freezing (clone false) fixes the steps in place.
func (c *canvas) prepareChain(n *node, args []any, m membership, errbacks []any, clone bool) ([]*node, []*outcome, error) {
	p := &preparation{c: c, args: args, last: m, errbacks: errbacks, clone: clone}
	p.steps = chainHead(slices.Clone(n.tasks.list), clone)
	for len(p.steps) > 0 {
		step := p.next()
		if step == nil {
			continue
		}
		if err := p.add(step); err != nil {
			return nil, nil, err
		}
	}
	id := m.id
	if len(p.results) > 0 {
		id = p.results[0].id
	}
	if id != "" {
		n.set("task_id", id)
	}
	if clone {
		for _, t := range p.done {
			stripHeaderLinks(t)
		}
	}
	return p.done, p.results, nil
}

// chainHead makes the first element one that is really sent, since it takes the
// partial arguments: leading chains are spliced, leading empty groups dropped
// unless nothing else is left.
func chainHead(steps []*node, clone bool) []*node {
	var dropped *node
	for len(steps) > 0 {
		head := steps[0]
		if head.kind == SubtaskChain {
			if clone {
				head = head.clone()
			}
			steps = slices.Concat(head.tasks.list, steps[1:])
			continue
		}
		head = head.unrolled()
		steps[0] = head
		if len(steps) == 1 || !head.isEmptyGroup() {
			break
		}
		dropped, steps = head, steps[1:]
	}
	if dropped != nil && len(steps) == 0 {
		steps = []*node{dropped}
	}
	return steps
}

// preparation is the walk over a chain from its end.
type preparation struct {
	c        *canvas
	args     []any
	last     membership
	errbacks []any
	clone    bool

	steps   []*node // still to do
	frozen  bool    // the last step is
	done    []*node
	results []*outcome
	prev    *node
	prevRes *outcome
}

// next takes the last step that is left; nil when it was nothing to send or was
// replaced by other steps.
func (p *preparation) next() *node {
	n := len(p.steps) - 1
	step := p.steps[n].unrolled()
	p.steps = p.steps[:n]
	switch {
	case step.isEmptyGroup() && (n > 0 || p.prev != nil):
		return nil
	case p.clone && step.kind == SubtaskChord && ledByTask(step.body):
		p.steps = append(p.steps, step.unrollBody()...)
		return nil
	}
	var args []any
	if n == 0 {
		args = p.args
	}
	if p.clone {
		step = step.cloneWith(args, nil)
	} else if len(args) > 0 {
		step.args = slices.Concat(args, step.args)
	}
	if step.kind == SubtaskChain {
		p.steps = append(p.steps, step.tasks.list...)
		return nil
	}
	return step
}

// add freezes a step and ties what was done before, which follows it, to its
// result.
func (p *preparation) add(step *node) error {
	if step.kind == SubtaskGroup && p.prev != nil {
		step = p.upgrade(step)
	}
	m := membership{root: p.last.root}
	if !p.frozen {
		m, p.frozen = p.last, true
		m.parent = ""
	}
	res, err := p.c.freeze(step, m)
	if err != nil {
		return err
	}
	if p.prev != nil && p.prevRes.parent == nil {
		p.prevRes.parent = res
	}
	for _, e := range p.errbacks {
		step.linkError(e)
		if step.kind == SubtaskChord {
			step.body.linkError(e)
		}
	}
	p.done, p.results = append(p.done, step), append(p.results, res)
	p.prev, p.prevRes = step, res
	if step.kind == SubtaskChord { // what precedes a chord leads to its header
		p.prevRes, err = res.first()
	}
	return err
}

// upgrade makes a group with a step behind it a chord with that step as its
// body. The step is already frozen, and the chord takes over its id.
func (p *preparation) upgrade(group *node) *node {
	n := len(p.done) - 1
	body, bodyRes := p.prev, p.results[n]
	chord := newChord(group, body)
	if !p.prevRes.isGroup {
		chord.set("task_id", p.prevRes.id)
	}
	if p.last.root != "" {
		chord.set("root_id", p.last.root)
	}
	p.done, p.results = p.done[:n], p.results[:n]
	p.prev = nil
	if n > 0 {
		p.prev = p.done[n-1]
		// The steps behind follow the chord's result now, not the body's.
		node := p.results[n-1]
		for node != nil && node.parent != bodyRes {
			node = node.parent
		}
		if node != nil {
			node.parent, p.prevRes = nil, node
		}
	}
	return chord
}
