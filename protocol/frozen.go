package protocol

import "slices"

// Pending is a task that a frozen signature promised and that has an id.
type Pending struct {
	Name, ID, Group, ReplyTo string
	GroupIndex               *int
	Chord                    *Signature
}

// BodyErrbacks are the error callbacks of one task of a chord's body, by its id.
type BodyErrbacks struct {
	ID       string
	Errbacks []Signature
}

// Errbacks lists the error callbacks of a chord's body: its own, or when the
// body is a group those of each child and of the group, each once. What follows
// the body has none to call.
func Errbacks(body Signature) []BodyErrbacks {
	if body.SubtaskType != SubtaskGroup {
		return appendErrbacks(nil, body, nil)
	}
	var out []BodyErrbacks
	shared := listOption(body.Options, "link_error")
	for _, b := range frozenMembers(body, "tasks") {
		out = appendErrbacks(out, b, shared)
	}
	return out
}

// appendErrbacks leaves out a body without any and what cannot be read, which
// promised nothing.
func appendErrbacks(out []BodyErrbacks, body Signature, shared []any) []BodyErrbacks {
	n := node{opts: slices.Clone(body.Options)}
	for _, e := range shared {
		n.appendOption("link_error", e)
	}
	if errbacks, _ := signaturesOption(n.opts, "link_error"); len(errbacks) > 0 {
		out = append(out, BodyErrbacks{ID: n.text("task_id"), Errbacks: errbacks})
	}
	return out
}

// Frozen lists the tasks under a frozen signature whose ids somebody may wait
// for: the task itself, the steps of a chain, the members of a group, the body
// of a chord, and what follows them in option chain. When a task before them
// fails they never run.
func Frozen(s Signature) []Pending {
	var out []Pending
	switch s.SubtaskType {
	case SubtaskChain, SubtaskGroup:
		out = frozenAll(frozenMembers(s, "tasks"))
	case SubtaskChord:
		out = frozenAll(frozenMembers(s, "body"))
	default:
		if id := textOption(s.Options, "task_id"); id != "" {
			p := Pending{
				Name: s.Task, ID: id, Group: textOption(s.Options, "group_id"),
				ReplyTo: textOption(s.Options, "reply_to"), GroupIndex: intOption(s.Options, "group_index"),
			}
			if chord, err := signaturesOption(s.Options, "chord"); err == nil && len(chord) == 1 {
				p.Chord = &chord[0]
			}
			out = append(out, p)
		}
	}
	rest, _ := signaturesOption(s.Options, "chain")
	return append(out, frozenAll(rest)...)
}

func frozenAll(sigs []Signature) []Pending {
	var out []Pending
	for _, s := range sigs {
		out = append(out, Frozen(s)...)
	}
	return out
}

// frozenMembers is empty where they cannot be read: such members promised
// nothing.
func frozenMembers(s Signature, name string) []Signature {
	v, _ := s.Kwargs.Get(name)
	list, _ := signaturesOf(v)
	return list
}
