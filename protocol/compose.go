package protocol

// Chain composes a chain as Python's chain(a, b, c) and a | b | c do: nested
// chains are spliced, empty groups dropped, a group of one is its member;
// a group followed by a step becomes a chord, and what follows a chord joins
// its body. What cannot be read is left for Apply to refuse. The outcome may be
// no chain: an empty chain followed by a group is the group.
func Chain(tasks ...Signature) Signature {
	f := fold{}
	for _, t := range tasks {
		n, err := parse(t, 0)
		if err != nil {
			return Signature{Task: TaskChain, SubtaskType: SubtaskChain, Kwargs: Object{{"tasks", tasks}}}
		}
		f.add(n)
	}
	return f.result().signature()
}

// fold grows a chain step by step. whole is what stands in its place once the
// outcome is no chain.
type fold struct {
	steps []*node
	whole *node
}

func (f *fold) result() *node {
	if f.whole != nil {
		return f.whole
	}
	return newChain(f.steps...)
}

func newChain(steps ...*node) *node {
	return &node{task: TaskChain, kind: SubtaskChain, tasks: &members{steps}}
}

func newChord(header, body *node) *node {
	return &node{
		task: TaskChord, kind: SubtaskChord, tasks: header.tasks, body: body, kwargs: Object{{"kwargs", Object{}}},
		args: header.args,
	}
}

// composeChord keeps the id that the user gave the group.
func composeChord(header, body *node) *node {
	chord := newChord(header, body)
	chord.headerID = header.text("task_id")
	return chord
}

func (f *fold) add(next *node) {
	if f.whole != nil {
		f.whole = f.whole.then(next)
		return
	}
	if next.isEmptyGroup() {
		return
	}
	next = next.unrolled()
	if next.kind == SubtaskChain {
		for _, t := range next.unchain() {
			f.add(t)
		}
		return
	}
	if len(f.steps) == 0 {
		if next.kind == SubtaskGroup {
			f.whole = next
			return
		}
		f.steps = append(f.steps, next)
		return
	}
	last := len(f.steps) - 1
	switch end := f.steps[last]; {
	case end.kind == SubtaskChord && next.kind != SubtaskChord:
		end.body = end.body.then(next)
	case end.kind == SubtaskGroup && next.kind != SubtaskGroup:
		f.steps[last] = composeChord(end, next)
	default:
		f.steps = append(f.steps, next)
	}
}

// then is Python's n | next.
func (n *node) then(next *node) *node {
	switch n.kind {
	case SubtaskGroup:
		if next.isEmptyGroup() {
			return n
		}
		return composeChord(n, next)
	case SubtaskChain:
		return n.chainThen(next)
	case SubtaskChord:
		one := next.kind == SubtaskGroup && len(next.tasks.list) == 1
		if one || next.kind != SubtaskGroup && next.kind != SubtaskChain {
			n.body = n.body.then(next.unrolled())
			return n
		}
	}
	if next.kind == SubtaskChain {
		return newChain(append([]*node{n}, next.unchain()...)...)
	}
	return newChain(n, next.unrolled())
}

func (n *node) chainThen(next *node) *node {
	if next.isEmptyGroup() {
		return n
	}
	next = next.unrolled()
	if next.kind == SubtaskChain {
		whole := n
		for _, t := range next.unchain() {
			whole = whole.then(t)
		}
		return whole
	}
	steps := n.tasks.list
	if len(steps) == 0 && next.kind == SubtaskGroup {
		return next
	}
	if len(steps) == 0 {
		return newChain(next)
	}
	last := len(steps) - 1
	end := steps[last]
	switch {
	case end.kind == SubtaskGroup && next.kind != SubtaskGroup:
		steps[last] = composeChord(end, next)
		if last > 0 && steps[last-1].kind == SubtaskChord {
			steps[last-1].body = steps[last-1].body.then(steps[last])
			n.tasks.list = steps[:last]
		}
		return n
	case end.kind == SubtaskChord && next.kind == SubtaskGroup:
		steps = n.unchain()
		steps[last].body = steps[last].body.then(next)
		return newChain(steps...)
	case end.kind == SubtaskChord && next.kind != SubtaskChord:
		end.body = end.body.then(next)
		return n
	}
	return newChain(append(n.unchain(), next)...)
}
