package protocol_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

func plain(name string, args ...any) protocol.Signature {
	return protocol.Signature{Task: name, Args: args}
}

func chain(tasks ...protocol.Signature) protocol.Signature {
	return protocol.Signature{Task: protocol.TaskChain, SubtaskType: protocol.SubtaskChain, Kwargs: protocol.Object{{Name: "tasks", Value: tasks}}}
}

func group(tasks ...protocol.Signature) protocol.Signature {
	return protocol.Signature{Task: protocol.TaskGroup, SubtaskType: protocol.SubtaskGroup, Kwargs: protocol.Object{{Name: "tasks", Value: tasks}}}
}

func chord(header, body protocol.Signature) protocol.Signature {
	return protocol.Signature{Task: protocol.TaskChord, SubtaskType: protocol.SubtaskChord, Kwargs: protocol.Object{
		{Name: "header", Value: header}, {Name: "body", Value: body}, {Name: "kwargs", Value: protocol.Object{}}}}
}

func testEnv() protocol.Env {
	n := 0
	return protocol.Env{
		NewID: func() string { n++; return fmt.Sprintf("id%d", n) },
		Now:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Origin: "gen1@host",
	}
}

// show is one line per message: name, args, membership and what follows it.
func show(p protocol.Plan) string {
	var b strings.Builder
	for _, c := range p.Chords {
		fmt.Fprintf(&b, "chord of %d\n", c.Size)
	}
	for _, s := range p.Sends {
		t := s.Task
		fmt.Fprintf(&b, "%s%s", t.Name, t.ArgsRepr)
		if t.GroupIndex != nil {
			fmt.Fprintf(&b, " #%d", *t.GroupIndex)
		}
		for i := len(t.Chain) - 1; i >= 0; i-- {
			fmt.Fprintf(&b, " | %s", t.Chain[i].Task)
		}
		if t.Chord != nil {
			fmt.Fprintf(&b, " => %s", t.Chord.Task)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestApplyShapes(t *testing.T) {
	a, b, c, d := plain("a", 1), plain("b", 2), plain("c", 3), plain("d")
	tests := []struct {
		name string
		sig  protocol.Signature
		want string
	}{
		{"plain", a, "a(1,)\n"},
		{"chain", chain(a, b, c), "a(1,) | b | c\n"},
		{"nested chain", chain(a, chain(b, c)), "a(1,) | b | c\n"},
		{"group", group(a, b), "a(1,) #0\nb(2,) #1\n"},
		{"nested group", group(a, group(b, c)), "a(1,) #0\nb(2,) #0\nc(3,) #1\n"},
		{"chord", chord(group(a, b), d), "chord of 2\na(1,) #0 => d\nb(2,) #1 => d\n"},
		{"empty chord", chord(group(), d), "d([],)\n"},
		{"chain into group", chain(a, group(b, c)), "a(1,) | celery.group\n"},
		{"group of one in a chain", chain(a, group(b), c), "a(1,) | b | c\n"},
		{"group then step", chain(group(a, b), d), "chord of 2\na(1,) #0 => d\nb(2,) #1 => d\n"},
		{"step, group, step, step", chain(a, group(b, c), d, a), "a(1,) | celery.chord | a\n"},
		{"chain in a header", chord(group(chain(a, b), c), d), "chord of 2\na(1,) | b\nc(3,) #1 => d\n"},
		{"chord in a header", chord(group(chord(group(a), b), c), d), "chord of 1\nchord of 2\na(1,) #0 => b\nc(3,) #1 => d\n"},
		{"group in a header", chord(group(a, group(b, c)), d), "chord of 3\na(1,) #0 => d\nc(3,) #1 => d\nb(2,) #2 => d\n"},
		{"body of a chain", chord(group(a, b), chain(c, d)), "chord of 2\na(1,) #0 => celery.chain\nb(2,) #1 => celery.chain\n"},
		{"chord with a chain for a body, in a chain", chain(chord(group(a, b), chain(c, d)), a), "chord of 2\na(1,) #0 => c\nb(2,) #1 => c\n"},
		{"empty groups in a chain", chain(group(), a, group(), b), "a(1,) | b\n"},
		{"empty chain in a group", group(a, chain(), b), "a(1,) #0\nb(2,) #2\n"},
		{"group", group(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := protocol.Apply(tt.sig, nil, nil, testEnv())
			if err != nil {
				t.Fatal(err)
			}
			if got := show(plan); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// A step of a chain that a worker forwards comes back as the same thing: what
// was frozen at sending keeps its ids.
func TestApplyKeepsFrozenIDs(t *testing.T) {
	plan, err := protocol.Apply(chain(plain("a"), group(plain("b"), plain("c")), plain("d")), nil, nil, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	first := plan.Sends[0].Task
	m, err := first.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := protocol.DecodeTask(m)
	if err != nil {
		t.Fatal(err)
	}
	next := got.Chain[len(got.Chain)-1]
	second, err := protocol.Apply(next, []any{7}, protocol.Object{{Name: "root_id", Value: first.ID}, {Name: "parent_id", Value: first.ID}}, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	if want := "chord of 2\nb(7,) #0 => d\nc(7,) #1 => d\n"; show(second) != want {
		t.Errorf("got\n%swant\n%s", show(second), want)
	}
	if second.ID != plan.ID {
		t.Errorf("the chord's body has id %s, the chain promised %s", second.ID, plan.ID)
	}
	for _, s := range second.Sends {
		if s.Task.RootID != first.ID {
			t.Errorf("%s has root %s, want %s", s.Task.Name, s.Task.RootID, first.ID)
		}
	}
}

func TestImmutableAndOverrides(t *testing.T) {
	sig := protocol.Signature{Task: "a", Args: []any{1}, Immutable: true, Options: protocol.Object{{Name: "group_id", Value: "g"}}}
	plan, err := protocol.Apply(sig, []any{9}, protocol.Object{{Name: "group_id", Value: "other"}, {Name: "countdown", Value: 2}}, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	task := plan.Sends[0].Task
	if task.ArgsRepr != "(1,)" || task.Group != "g" {
		t.Errorf("args %s group %s, want (1,) and g", task.ArgsRepr, task.Group)
	}
	if want := testEnv().Now.Add(2 * time.Second); !task.ETA.Equal(want) {
		t.Errorf("eta %v, want %v", task.ETA, want)
	}
}

// Workers of Celery 5.0 and older count a chord by its body's chord_size.
func TestLegacyChordSize(t *testing.T) {
	sig := chord(group(plain("a"), chain(plain("x"), plain("b")), plain("c")), plain("body"))
	for legacy, want := range map[bool]int{true: 3, false: 0} {
		env := testEnv()
		env.LegacyValues = legacy
		plan, err := protocol.Apply(sig, nil, nil, env)
		if err != nil || len(plan.Sends) != 3 {
			t.Fatalf("%+v, %v", plan, err)
		}
		for _, s := range plan.Sends {
			body := s.Task.Chord
			if body == nil { // the last step of the chain has it
				last, _ := s.Task.Chain[0].Options.Get("chord")
				step, err := protocol.DecodeSignature(marshal(t, last))
				if err != nil {
					t.Fatal(err)
				}
				body = &step
			}
			if got := body.ChordSize; got != want {
				t.Errorf("legacy %v: chord_size of %s is %d, want %d", legacy, s.Task.Name, got, want)
			}
		}
	}
}

func marshal(t *testing.T, v any) protocol.Raw {
	t.Helper()
	raw, err := protocol.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
