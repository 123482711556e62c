package worker

import (
	"testing"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// host is a task in the midst of everything.
func host() *protocol.Task {
	one, b := 1, client.With(client.Task("body"), client.ID("body-id"))
	return &protocol.Task{
		Name: "a", ID: "host-id", RootID: "root", Group: "g", GroupIndex: &one, Chord: &b, ReplacedTaskNesting: 1,
		Callbacks: []protocol.Signature{client.Task("cb")}, Errbacks: []protocol.Signature{client.Task("err")},
		Chain: []protocol.Signature{client.With(client.Task("next"), client.ID("next-id"))},
	}
}

func TestReplaceWithTask(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, Replace(client.With(client.Task("r", 1), client.Link(client.Task("own")))))
	s.deliver(host()).want(t, "ack")
	r := s.wantSent("r")[0]
	if r.ID != "host-id" || r.RootID != "root" || r.ParentID != "host-id" || r.Group != "g" || *r.GroupIndex != 1 || r.Chord == nil || r.ReplacedTaskNesting != 2 {
		t.Errorf("replacement %+v", r)
	}
	if len(r.Callbacks) != 2 || r.Callbacks[0].Task != "own" || r.Callbacks[1].Task != "cb" || len(r.Errbacks) != 1 || len(r.Chain) != 1 {
		t.Errorf("callbacks %v, errbacks %v, chain %v", r.Callbacks, r.Errbacks, r.Chain)
	}
	s.wantStates()
	s.wantEvents("task-received", "task-started")
}

func TestReplaceWithChain(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, Replace(client.Chain(client.Task("x"), client.Task("y"))))
	s.deliver(host())
	x := s.wantSent("x")[0]
	if x.ID == "host-id" || x.Chord != nil || x.ReplacedTaskNesting != 2 || len(x.Callbacks) != 0 || len(x.Errbacks) != 1 {
		t.Errorf("first step %+v", x)
	}
	if len(x.Chain) != 2 || x.Chain[0].Task != "next" || x.Chain[1].Task != "y" {
		t.Fatalf("chain %v", x.Chain)
	}
	y := protocol.Frozen(x.Chain[1])[0]
	if y.ID != "host-id" || y.Group != "g" || y.Chord == nil {
		t.Errorf("last step %+v", y)
	}
	if links, _ := signatures(x.Chain[1].Options, "link"); len(links) != 1 || links[0].Task != "cb" {
		t.Errorf("callbacks of the last step %v", links)
	}
	if links, _ := signatures(x.Chain[1].Options, "link_error"); len(links) != 1 || links[0].Task != "err" {
		t.Errorf("errbacks of the last step %v", links)
	}
}

func TestReplaceWithGroup(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, Replace(client.Group(client.Task("x"), client.Task("y"))))
	s.deliver(host())
	sent := s.wantSent("x", "y")
	b := sent[0].Chord
	if b == nil || b.Task != protocol.TaskAccumulate {
		t.Fatalf("body %+v", b)
	}
	end := protocol.Frozen(*b)
	if end[0].ID != "host-id" || end[0].Group != "g" || end[0].Chord == nil || end[1].ID != "next-id" {
		t.Errorf("body %+v", end)
	}
	if len(s.backend.sizes) != 1 || s.backend.sizes[sent[0].Group] != 2 {
		t.Errorf("chords announced: %v", s.backend.sizes)
	}
}

// The errbacks of a task are those of everything in its place, chords in a
// header included.
func TestReplaceWithChord(t *testing.T) {
	s := newStage(t, Config{})
	inner := client.Chord([]protocol.Signature{client.Task("x")}, client.Task("inner"))
	s.task("a", nil, Replace(client.Chord([]protocol.Signature{inner, client.Task("y")}, client.Task("b"))))
	s.deliver(host())
	sent := s.wantSent("x", "y")
	for _, sig := range []*protocol.Signature{sent[0].Chord, sent[1].Chord} {
		if links, _ := signatures(sig.Options, "link_error"); len(links) != 1 || links[0].Task != "err" {
			t.Errorf("errbacks of %s: %v", sig.Task, links)
		}
	}
}

// What cannot stand in for a task fails it.
func TestReplaceRefused(t *testing.T) {
	for name, sig := range map[string]protocol.Signature{
		"empty chain":       client.Chain(),
		"member of a chord": client.With(client.Task("x"), client.Set("chord", client.Task("b"))),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.task("a", nil, Replace(sig))
			s.deliver(&protocol.Task{Name: "a", ID: "1", Errbacks: []protocol.Signature{client.Task("err")}})
			s.wantStates("1 FAILURE")
			s.wantSent("err")
		})
	}
}
