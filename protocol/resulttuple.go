package protocol

import (
	"errors"
	"fmt"
)

// Tuple is the wire form of a result that is still to come (celery.result):
// [[id, parent], null] for a task, [[id, parent], [tuples]] for a group.
type Tuple struct {
	ID string
	// Parent is the result that came before it in a chain, nil without one.
	Parent *Tuple
	// Group says that ID is a group's and Members its results. A group may be
	// empty.
	Group   bool
	Members []Tuple
}

// Raw writes the tuple.
func (t Tuple) Raw() Raw {
	raw, _ := Marshal(t.value()) // strings in arrays cannot fail
	return raw
}

func (t Tuple) value() []any {
	head, members := []any{t.ID, nil}, any(nil)
	if t.Parent != nil {
		head[1] = t.Parent.value()
	}
	if t.Group {
		list := []any{}
		for _, m := range t.Members {
			list = append(list, m.value())
		}
		members = list
	}
	return []any{head, members}
}

// Tasks are the ids of the tasks under it, in order: its own, or those of a
// group's members and of the groups among them.
func (t Tuple) Tasks() []string {
	if !t.Group {
		return []string{t.ID}
	}
	var ids []string
	for _, m := range t.Members {
		ids = append(ids, m.Tasks()...)
	}
	return ids
}

// DecodeTuple reads a result tuple. As in Celery the pair of id and parent may be
// the bare id.
func DecodeTuple(raw Raw) (Tuple, error) {
	v, err := Decode(raw)
	if err != nil {
		return Tuple{}, fmt.Errorf("decode result tuple: %w", err)
	}
	t, err := tupleOf(v)
	if err != nil {
		return Tuple{}, fmt.Errorf("decode result tuple: %w", err)
	}
	return t, nil
}

// tupleOf recurses no deeper than Decode did.
func tupleOf(v any) (Tuple, error) {
	pair, _ := v.([]any)
	if len(pair) != 2 {
		return Tuple{}, fmt.Errorf("a pair is expected, not a JSON %s", typeName(v))
	}
	head, isPair := pair[0].([]any)
	if !isPair {
		head = []any{pair[0], nil}
	}
	if len(head) != 2 {
		return Tuple{}, errors.New("its first member is no pair of id and parent")
	}
	var t Tuple
	if t.ID, _ = head[0].(string); t.ID == "" {
		return t, errors.New("it has no id")
	}
	if parent, _ := head[1].([]any); len(parent) > 0 {
		p, err := tupleOf(parent)
		if err != nil {
			return t, fmt.Errorf("parent of %s: %w", t.ID, err)
		}
		t.Parent = &p
	}
	if pair[1] == nil {
		return t, nil
	}
	members, isList := pair[1].([]any)
	if !isList {
		return t, fmt.Errorf("members of %s are a JSON %s", t.ID, typeName(pair[1]))
	}
	t.Group = true
	for _, m := range members {
		member, err := tupleOf(m)
		if err != nil {
			return t, fmt.Errorf("member of group %s: %w", t.ID, err)
		}
		t.Members = append(t.Members, member)
	}
	return t, nil
}

// EncodeGroup writes what a backend keeps for a saved GroupResult, of its tuple.
func EncodeGroup(tuple Raw) (Raw, error) {
	return Marshal(Object{{"result", tuple}})
}

// DecodeGroup reads a saved GroupResult.
func DecodeGroup(data []byte) (Tuple, error) {
	fields, err := SplitObject(data)
	if err != nil {
		return Tuple{}, fmt.Errorf("decode saved group: %w", err)
	}
	for _, f := range fields {
		if f.Name != "result" {
			continue
		}
		t, err := DecodeTuple(f.Value)
		if err != nil {
			return t, fmt.Errorf("decode saved group: %w", err)
		}
		if !t.Group {
			return t, fmt.Errorf("decode saved group: %s is a single task", t.ID)
		}
		return t, nil
	}
	return Tuple{}, errors.New("decode saved group: no member result")
}

// ResultTuple is the wire form of an AsyncResult: [[id, parent], null].
func ResultTuple(id string, parent Raw) Raw { return tuple(id, parent, nil) }

// GroupTuple is the wire form of a GroupResult: [[gid, parent], [tuples]].
func GroupTuple(group string, parent Raw, members []Raw) Raw { return tuple(group, parent, members) }

// tuple joins what is written already; without members it is a task's.
func tuple(id string, parent Raw, members []Raw) Raw {
	var m any
	if members != nil {
		m = members
	}
	raw, _ := Marshal([]any{[]any{id, parent}, m}) // strings and raw JSON cannot fail
	return raw
}
