package protocol

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

// Errbacks lists the error callbacks of a chord's body: its own, or those of
// each child when the body is a group. What follows the body has none to call.
func Errbacks(body Signature) []BodyErrbacks {
	bodies := []Signature{body}
	if body.SubtaskType == SubtaskGroup {
		bodies, _ = body.members() // what cannot be read promised nothing
	}
	var out []BodyErrbacks
	for _, b := range bodies {
		if errbacks, _ := b.signatures("link_error"); len(errbacks) > 0 {
			out = append(out, BodyErrbacks{ID: b.text("task_id"), Errbacks: errbacks})
		}
	}
	return out
}

// Frozen lists the tasks under a frozen signature whose ids somebody may wait
// for: the task itself, the steps of a chain, the members of a group, the body
// of a chord, and what
// follows them in option chain. When a task before them fails they never run.
func Frozen(s Signature) []Pending {
	var out []Pending
	members := func(name string) {
		v, _ := s.Kwargs.Get(name)
		list, _ := signaturesOf(v) // what cannot be read promised nothing
		for _, m := range list {
			out = append(out, Frozen(m)...)
		}
	}
	switch s.SubtaskType {
	case SubtaskChain, SubtaskGroup:
		members("tasks")
	case SubtaskChord:
		members("body")
	default:
		if id := s.text("task_id"); id != "" {
			m := membershipOf(s)
			out = append(out, Pending{
				Name: s.Task, ID: id, Group: m.group, ReplyTo: s.text("reply_to"),
				GroupIndex: m.index, Chord: m.chord,
			})
		}
	}
	rest, _ := s.signatures("chain")
	for _, r := range rest {
		out = append(out, Frozen(r)...)
	}
	return out
}
