package protocol

// Freezing gives every task in a signature its id before anything is sent, so
// that results can be named and a pending step knows where its outcome belongs.

// membership is what an enclosing canvas imposes on a signature.
type membership struct {
	id           string // task id for the last task; "" makes a new one
	group        string
	index        *int
	chord        any // the body to contribute to, a *node while it is not frozen
	root, parent string
}

// membershipOf reads what applying a chain with these options imposes on its
// last step.
func membershipOf(o Object) membership {
	m := membership{
		id: textOption(o, "task_id"), group: textOption(o, "group_id"), index: intOption(o, "group_index"),
		root: textOption(o, "root_id"), parent: textOption(o, "parent_id"),
	}
	m.chord, _ = o.Get("chord")
	return m
}

// join sets what an enclosing canvas imposes. The group that a task already
// belongs to stays.
func (n *node) join(m membership) {
	if _, has := n.opts.Get("group_id"); m.group != "" && (!has || n.kind == SubtaskGroup) {
		n.set("group_id", m.group)
	}
	if m.chord != nil {
		n.set("chord", m.chord)
	}
	if m.index != nil {
		n.set("group_index", *m.index)
	}
}

// freeze fixes ids and membership in place and returns the result to come.
func (c *canvas) freeze(n *node, m membership) (*outcome, error) {
	switch n.kind {
	case SubtaskChain:
		_, results, err := c.prepareChain(n, n.args, m, nil, false)
		if err != nil {
			return nil, err
		}
		if len(results) == 0 {
			return nil, errEmptyChain
		}
		return results[0], nil
	case SubtaskGroup:
		return c.freezeGroup(n, m)
	case SubtaskChord:
		return c.freezeChord(n, m)
	}
	return c.freezeTask(n, m), nil
}

func (c *canvas) freezeTask(n *node, m membership) *outcome {
	id := n.text("task_id")
	if id == "" {
		if id = m.id; id == "" {
			id = c.env.NewID()
		}
		n.set("task_id", id)
	}
	if m.root != "" {
		n.set("root_id", m.root)
	}
	if m.parent != "" {
		n.set("parent_id", m.parent)
	}
	if _, has := n.opts.Get("reply_to"); !has && c.env.ReplyTo != "" {
		n.set("reply_to", c.env.ReplyTo)
	}
	n.join(m)
	return &outcome{id: id}
}
