package protocol

import (
	"encoding/json"
	"fmt"
)

// Freezing gives every task in a signature its id before anything is sent, so
// that results can be named and a pending step knows where its outcome belongs.

// membership is what an enclosing canvas imposes on a signature.
type membership struct {
	id           string // task id for the last task; "" makes a new one
	group        string
	index        *int
	chord        *Signature
	root, parent string
}

// membershipOf reads what applying a signature with these options imposes.
func membershipOf(s Signature) membership {
	m := membership{id: s.text("task_id"), group: s.text("group_id"), root: s.text("root_id"), parent: s.text("parent_id")}
	if v, ok := s.option("group_index").(json.Number); ok {
		i := int(Float(v))
		m.index = &i
	} else if i, ok := s.option("group_index").(int); ok {
		m.index = &i
	}
	if list, err := s.signatures("chord"); err == nil && len(list) == 1 {
		m.chord = &list[0]
	}
	return m
}

// under is the membership of a chord's body. That it carries its own header's
// group id where it has no other is Celery's way.
func (m membership) under(header string) membership {
	if m.group == "" {
		m.group = header
	}
	return m
}

// text is a string option.
func (s Signature) text(name string) string {
	v, _ := s.option(name).(string)
	return v
}

// signatures is an option that holds one signature or a list.
func (s Signature) signatures(name string) ([]Signature, error) {
	v, _ := s.Options.Get(name)
	list, err := signaturesOf(v)
	if err != nil {
		return nil, fmt.Errorf("option %s: %w", name, err)
	}
	return list, nil
}

// members are the children of a chain or group.
func (s Signature) members() ([]Signature, error) {
	v, _ := s.Kwargs.Get("tasks")
	list, err := signaturesOf(v)
	if err != nil {
		return nil, fmt.Errorf("members of %s: %w", s.Task, err)
	}
	return list, nil
}

// chordParts are header, always as a group, and body of a chord.
func (s Signature) chordParts() (header, body Signature, err error) {
	hv, _ := s.Kwargs.Get("header")
	list, err := signaturesOf(hv)
	if err != nil {
		return header, body, fmt.Errorf("chord header: %w", err)
	}
	if len(list) == 1 && list[0].SubtaskType == SubtaskGroup {
		header = list[0].Clone()
	} else {
		header = Signature{Task: TaskGroup, SubtaskType: SubtaskGroup, Kwargs: Object{{"tasks", list}}}
	}
	bv, _ := s.Kwargs.Get("body")
	bodies, err := signaturesOf(bv)
	if err != nil {
		return header, body, fmt.Errorf("chord body: %w", err)
	}
	if len(bodies) != 1 {
		return header, body, fmt.Errorf("a chord needs one body, not %d", len(bodies))
	}
	return header, bodies[0].Clone(), nil
}

func (c *canvas) freeze(s Signature, m membership) (Signature, *outcome, error) {
	switch s.SubtaskType {
	case SubtaskChain:
		return c.freezeChain(s, m)
	case SubtaskGroup:
		return c.freezeGroup(s, m)
	case SubtaskChord:
		return c.freezeChord(s, m)
	}
	s, out := c.freezePlain(s, m)
	return s, out, nil
}

func (c *canvas) freezePlain(s Signature, m membership) (Signature, *outcome) {
	s = s.Clone()
	keep := func(name string, v any) { // freezing never changes what is set
		if _, has := s.Options.Get(name); !has && v != nil && v != "" {
			s.Options = s.Options.Set(name, v)
		}
	}
	id := s.text("task_id")
	if id == "" {
		if id = m.id; id == "" {
			id = c.env.NewID()
		}
		s.Options = s.Options.Set("task_id", id)
	}
	keep("reply_to", c.env.ReplyTo)
	keep("group_id", m.group)
	keep("root_id", m.root)
	keep("parent_id", m.parent)
	if m.chord != nil {
		s.Options = s.Options.Set("chord", *m.chord)
	}
	if m.index != nil {
		s.Options = s.Options.Set("group_index", *m.index)
	}
	return s, &outcome{id: id, size: 1}
}

func (c *canvas) freezeChain(s Signature, m membership) (Signature, *outcome, error) {
	reversed, out, err := c.prepareChain(s, m)
	if err != nil {
		return s, nil, err
	}
	steps := make([]Signature, len(reversed))
	for i, step := range reversed {
		steps[len(steps)-1-i] = step
	}
	s = s.Clone()
	s.Kwargs = s.Kwargs.Set("tasks", steps)
	return s, out, nil
}

// prepareChain freezes the steps of a chain from the last to the first and
// returns them in that order. A group with a step behind it becomes a chord
// with that step as its body.
func (c *canvas) prepareChain(s Signature, m membership) ([]Signature, *outcome, error) {
	steps, err := flattenChain(s)
	if err != nil {
		return nil, nil, err
	}
	if len(steps) == 0 {
		return nil, nil, fmt.Errorf("an empty chain cannot be sent")
	}
	links, err := s.signatures("link")
	if err != nil {
		return nil, nil, err
	}
	errlinks, err := s.signatures("link_error")
	if err != nil {
		return nil, nil, err
	}
	steps[len(steps)-1] = steps[len(steps)-1].withLinks("link", links)
	var done []Signature
	var last, prev *outcome
	for i := len(steps) - 1; i >= 0; i-- {
		step, inner := steps[i].withLinks("link_error", errlinks), membership{root: m.root}
		if i == len(steps)-1 {
			inner = m
		}
		if step.SubtaskType == SubtaskGroup && len(done) > 0 {
			body := done[len(done)-1]
			done = done[:len(done)-1]
			step = chordOf(step, body)
			inner = membership{root: m.root}
		}
		frozen, out, err := c.freeze(step, inner)
		if err != nil {
			return nil, nil, err
		}
		if last == nil {
			last = out
		} else if step.SubtaskType != SubtaskChord || prev.id != out.id {
			prev.first().parent = out
		} else { // the chord stands for the body that is already in the list
			prev.first().parent = out.parent
			out = prev
		}
		done, prev = append(done, frozen), out
	}
	return done, last, nil
}

// chordOf makes group | step a chord. It takes the step's id, which the result
// of the chain already names.
func chordOf(group, body Signature) Signature {
	s := Signature{
		Task: TaskChord, SubtaskType: SubtaskChord,
		Kwargs: Object{{"header", group}, {"body", body}, {"kwargs", Object{}}},
	}
	if id := body.text("task_id"); id != "" {
		s.Options = Object{{"task_id", id}}
	}
	return s
}

// flattenChain splices nested chains, replaces a group of one by its member and
// drops empty groups. Args of a nested chain belong to its first step.
func flattenChain(s Signature) ([]Signature, error) {
	members, err := s.members()
	if err != nil {
		return nil, err
	}
	var out []Signature
	for _, m := range members {
		switch m.SubtaskType {
		case SubtaskChain:
			nested, err := flattenChain(m)
			if err != nil {
				return nil, err
			}
			if len(nested) > 0 {
				nested[0] = nested[0].merge(m.Args, nil)
			}
			out = append(out, nested...)
			continue
		case SubtaskGroup:
			inner, err := m.members()
			if err != nil {
				return nil, err
			}
			if len(inner) == 0 && len(members) > 1 {
				continue
			}
			if len(inner) == 1 {
				m = inner[0].merge(m.Args, nil)
			}
		}
		out = append(out, m.Clone())
	}
	return out, nil
}

// withLinks returns s with signatures added to its link or link_error option.
func (s Signature) withLinks(option string, links []Signature) Signature {
	if len(links) == 0 {
		return s
	}
	have, _ := s.signatures(option)
	s = s.Clone()
	s.Options = s.Options.Set(option, append(append([]Signature(nil), have...), links...))
	return s
}

func (c *canvas) freezeGroup(s Signature, m membership) (Signature, *outcome, error) {
	members, err := flattenGroup(s)
	if err != nil {
		return s, nil, err
	}
	gid := s.text("task_id")
	if gid == "" {
		if gid = m.id; gid == "" {
			gid = c.env.NewID()
		}
	}
	chord := m.chord
	if chord == nil {
		if list, err := s.signatures("chord"); err == nil && len(list) == 1 {
			chord = &list[0]
		}
	}
	out := &outcome{id: gid, isGroup: true}
	for i := range members {
		index := i
		frozen, child, err := c.freeze(members[i], membership{group: gid, index: &index, chord: chord, root: m.root, parent: m.parent})
		if err != nil {
			return s, nil, err
		}
		members[i] = frozen
		out.group = append(out.group, child)
		out.size += child.size
	}
	s = s.Clone()
	s.Options = s.Options.Set("task_id", gid)
	if members == nil {
		members = []Signature{}
	}
	s.Kwargs = s.Kwargs.Set("tasks", members)
	return s, out, nil
}

func flattenGroup(s Signature) ([]Signature, error) {
	members, err := s.members()
	if err != nil {
		return nil, err
	}
	var out []Signature
	for _, m := range members {
		if m.SubtaskType != SubtaskGroup {
			out = append(out, m)
			continue
		}
		nested, err := flattenGroup(m)
		if err != nil {
			return nil, err
		}
		for _, n := range nested {
			out = append(out, n.merge(m.Args, nil))
		}
	}
	return out, nil
}

func (c *canvas) freezeChord(s Signature, m membership) (Signature, *outcome, error) {
	header, body, err := s.chordParts()
	if err != nil {
		return s, nil, err
	}
	header, hout, err := c.freeze(header, membership{root: m.root, parent: m.parent})
	if err != nil {
		return s, nil, err
	}
	if m.id == "" {
		m.id = s.text("task_id")
	}
	body, out, err := c.freeze(body, m)
	if err != nil {
		return s, nil, err
	}
	out.first().parent = hout
	s = s.Clone()
	s.Kwargs = s.Kwargs.Set("header", header).Set("body", body)
	s.Options = s.Options.Set("task_id", out.id)
	return s, out, nil
}
