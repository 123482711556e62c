package protocol

import (
	"fmt"
	"slices"
)

// Rules for callbacks (link) and error callbacks (link_error), which differ by
// the kind of signature that they are added to.

// Link adds a callback as Python's Signature.link does: to the body of a chord;
// to the first member of a group, immutable, since one member has not the
// others' results; else to the signature itself, where a chain gives it to its
// last step. A callback that is there already is not added again.
func Link(s, callback Signature) (Signature, error) {
	return s.edit(func(n *node) error { return n.link(callback) })
}

// LinkError adds an error callback as Python's Signature.link_error does: to
// the body of a chord and of chords in its header, to every member of a group,
// else to the signature itself, where a chain gives it to every step.
func LinkError(s, errback Signature) (Signature, error) {
	return s.edit(func(n *node) error { n.linkError(errback); return nil })
}

// edit changes a copy of a signature as canvas sees it.
func (s Signature) edit(change func(*node) error) (Signature, error) {
	n, err := parse(s, 0)
	if err == nil {
		err = change(n)
	}
	if err != nil {
		return s, fmt.Errorf("signature of %s: %w", s.Task, err)
	}
	return n.signature(), nil
}

func (n *node) link(callback any) error {
	switch {
	case n.kind == SubtaskChord:
		return n.body.link(callback)
	case n.isEmptyGroup():
		n.appendOption("link", callback)
	case n.kind == SubtaskGroup:
		cb, err := nodeOf(callback)
		if err != nil {
			return fmt.Errorf("callback: %w", err)
		}
		cb.setImmutable()
		return n.tasks.list[0].link(cb.signature())
	default:
		n.appendOption("link", callback)
	}
	return nil
}

func (n *node) linkError(errback any) {
	switch n.kind {
	case SubtaskGroup:
		for _, t := range n.tasks.list {
			t.linkError(errback)
		}
	case SubtaskChord:
		if n.header == nil {
			for _, t := range n.tasks.list {
				if t.kind == SubtaskChord {
					t.linkError(errback)
				}
			}
		}
		n.body.linkError(errback)
	default:
		n.appendOption("link_error", errback)
	}
}

// setImmutable makes the tasks ignore what precedes them: for a group its
// members, for a chord its header, for a chain its first step. Celery marks the
// chain itself and forgets that when it reads one.
func (n *node) setImmutable() {
	switch n.kind {
	case SubtaskGroup, SubtaskChord:
		for _, t := range n.members().list {
			t.setImmutable()
		}
	case SubtaskChain:
		if l := n.tasks.list; len(l) > 0 {
			l[0].setImmutable()
		}
	default:
		n.immutable = true
	}
}

// addCallbacks gives a chord's body the callbacks that the chord was sent with.
// A group has no errbacks of its own, its tasks get them, unless it has the
// option, which then goes before theirs.
func addCallbacks(body *node, links, errbacks []any) (*node, error) {
	if len(links) == 0 && len(errbacks) == 0 {
		return body, nil
	}
	body = body.deepClone()
	for _, l := range links {
		if err := body.link(l); err != nil {
			return nil, err
		}
	}
	for _, e := range errbacks {
		if body.kind == SubtaskGroup {
			body.linkErrorToBody(e, true)
		} else {
			body.appendOption("link_error", e)
		}
	}
	return body, nil
}

func (n *node) linkErrorToBody(errback any, whole bool) {
	switch n.kind {
	case SubtaskGroup:
		if v, _ := n.opts.Get("link_error"); v != nil && whole {
			n.appendOption("link_error", errback)
			return
		}
		for _, t := range n.tasks.list {
			t.linkErrorToBody(errback, false)
		}
	case SubtaskChord:
		n.body.linkErrorToBody(errback, true)
	default:
		n.linkError(errback)
	}
}

// unchain returns clones of a chain's steps that carry the chain's callbacks.
func (n *node) unchain() []*node {
	steps := cloneAll(n.tasks).list
	if len(steps) == 0 {
		return nil
	}
	for _, l := range listOption(n.opts, "link") {
		_ = steps[len(steps)-1].link(l) // what cannot be read stays with nobody
	}
	for _, e := range listOption(n.opts, "link_error") {
		for _, t := range steps {
			t.linkError(e)
		}
	}
	return steps
}

// listOption is an option that holds one value or a list of them.
func listOption(o Object, name string) []any {
	v, _ := o.Get(name)
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return slices.Clone(v)
	case []Signature:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case Raw:
		if string(v) == "null" {
			return nil
		}
		if firstByte(v) == '[' {
			out, err := rawList(v)
			if err == nil {
				return out
			}
		}
	}
	return []any{v}
}

// appendOption adds to a list option what it does not hold yet.
func (n *node) appendOption(name string, v any) {
	have := listOption(n.opts, name)
	if !slices.ContainsFunc(have, func(h any) bool { return sameValue(h, v) }) {
		n.set(name, append(have, v))
	}
}

func (n *node) extendOption(name string, more []any) {
	if len(more) > 0 {
		n.set(name, append(listOption(n.opts, name), more...))
	}
}

// sameValue compares by content; the order of members does not count.
func sameValue(a, b any) bool {
	ra, errA := Marshal(settled(a))
	rb, errB := Marshal(settled(b))
	if errA != nil || errB != nil {
		return false
	}
	if string(ra) == string(rb) {
		return true
	}
	va, errA := Decode(ra)
	vb, errB := Decode(rb)
	return errA == nil && errB == nil && equalJSON(va, vb)
}

func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case Object:
		b, ok := b.(Object)
		if !ok || len(a) != len(b) {
			return false
		}
		for _, f := range a {
			if v, has := b.Get(f.Name); !has || !equalJSON(f.Value, v) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalJSON)
	}
	return a == b
}

// nodeOf parses a signature out of an option.
func nodeOf(v any) (*node, error) {
	if n, ok := v.(*node); ok {
		return n, nil
	}
	s, err := signatureOf(v)
	if err != nil {
		return nil, err
	}
	return parse(s, 0)
}
