package protocol

import "errors"

// maxAncestors bounds how many parents a result tuple names. Python's JSON
// reader gives up on the tuple of a chain of a thousand steps, and takes the
// result that holds it along.
const maxAncestors = 100

// outcome is the result handle of something frozen: Celery's AsyncResult or
// GroupResult.
type outcome struct {
	id      string
	parent  *outcome
	isGroup bool
	members []*outcome
}

func groupOutcome(id string, members []*outcome) *outcome {
	return &outcome{id: id, isGroup: true, members: members}
}

// first is the earliest outcome of a chain: the one that nothing precedes.
func (o *outcome) first() (*outcome, error) {
	seen := map[string]bool{o.id: true}
	for o.parent != nil {
		o = o.parent
		if seen[o.id] {
			return nil, errors.New("results follow each other in a circle: two tasks of the canvas have one id")
		}
		seen[o.id] = true
	}
	return o, nil
}

func (o *outcome) tuple(ancestors int) Tuple {
	t := Tuple{ID: o.id, Group: o.isGroup}
	if o.parent != nil && ancestors > 0 {
		parent := o.parent.tuple(ancestors - 1)
		t.Parent = &parent
	}
	for _, m := range o.members {
		t.Members = append(t.Members, m.tuple(ancestors-1))
	}
	return t
}
