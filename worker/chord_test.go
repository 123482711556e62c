package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// member is a header task of the chord "g".
func member(id string, index int, body protocol.Signature) *protocol.Task {
	return &protocol.Task{Name: "h", ID: id, Group: "g", GroupIndex: &index, Chord: &body, RootID: "root"}
}

func body(opts ...client.Option) protocol.Signature {
	return client.With(client.Task("body"), append([]client.Option{client.ID("body-id")}, opts...)...)
}

func TestChordBody(t *testing.T) {
	s := newStage(t, Config{})
	s.task("h", 7, nil)
	s.backend.sizes["g"] = 2
	s.deliver(member("1", 0, body()))
	s.wantSent()
	s.deliver(member("2", 1, body()))
	b := s.wantSent("body")[0]
	if b.ID != "body-id" || b.ParentID != "2" || b.RootID != "root" || string(b.Args[0]) != "[7, 7]" {
		t.Errorf("body %+v, args %s", b, b.Args)
	}
	if !slices.Equal(s.backend.ended, []string{"g done"}) {
		t.Errorf("chord ended as %v", s.backend.ended)
	}
}

// Every way to not succeed counts as a failed part.
func TestFailedHeaderMembers(t *testing.T) {
	expired := time.Now().Add(-time.Hour)
	tests := []struct {
		name    string
		prepare func(s *stage, t *protocol.Task)
		end     string
		state   string
		class   string
	}{
		{"failure", func(s *stage, _ *protocol.Task) { s.task("h", nil, errBoom) }, "ack", "1 FAILURE", "ValueError"},
		{"expired", func(s *stage, m *protocol.Task) { s.task("h", 1, nil); m.Expires = expired }, "ack", "1 REVOKED", "TaskRevokedError"},
		{"revoked", func(s *stage, _ *protocol.Task) { s.task("h", 1, nil); s.w.revoked.add("1") }, "ack", "1 REVOKED", "TaskRevokedError"},
		{"not registered", func(s *stage, _ *protocol.Task) {
			for range 3 { // the first answer only begins the count
				s.w.foreign.consult("h", "1")
				s.w.foreign.learn(map[string]protocol.Raw{"w@test": protocol.Raw("[]")})
			}
		}, "dead", "1 FAILURE", "NotRegistered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.backend.sizes["g"] = 1
			m := member("1", 0, body(client.LinkError(client.Task("err")), client.Set("chain", []protocol.Signature{client.With(client.Task("after"), client.ID("after-id"))})))
			tt.prepare(s, m)
			s.deliver(m).want(t, tt.end)
			s.wantStates(tt.state, "body-id FAILURE", "after-id FAILURE")
			e := protocol.DecodeException(s.backend.stored[1].Value)
			if e.Type != "ChordError" || !strings.HasPrefix(e.Error(), "Dependency 1 raised "+tt.class) {
				t.Errorf("body failed with %s", e.Repr())
			}
			if sent := s.wantSent("err"); string(sent[0].Args[0]) != `"body-id"` {
				t.Errorf("errback got %s", sent[0].Args)
			}
			if !slices.Equal(s.backend.ended, []string{"g failed"}) {
				t.Errorf("chord ended as %v", s.backend.ended)
			}
		})
	}
}

// The failure of an inner chord is a part of the outer one.
func TestInnerChordFails(t *testing.T) {
	s := newStage(t, Config{})
	s.task("h", nil, errBoom)
	s.backend.sizes["g"], s.backend.sizes["outer"] = 1, 1
	outer := client.With(client.Task("outer"), client.ID("outer-id"))
	s.deliver(member("1", 0, body(client.Set("chord", outer), client.Set("group_id", "outer"), client.Set("group_index", 0))))
	s.wantStates("1 FAILURE", "body-id FAILURE", "outer-id FAILURE")
	if !slices.Equal(s.backend.ended, []string{"outer failed", "g failed"}) {
		t.Errorf("chords ended as %v", s.backend.ended)
	}
}

// The members of a body that is a group fail with the cause, each with its own
// errbacks.
func TestGroupBodyFails(t *testing.T) {
	s := newStage(t, Config{})
	s.task("h", nil, errBoom)
	s.backend.sizes["g"] = 1
	s.deliver(member("1", 0, client.Group(
		client.With(client.Task("x"), client.ID("x-id"), client.LinkError(client.Task("err"))),
		client.With(client.Task("y"), client.ID("y-id")),
	)))
	s.wantStates("1 FAILURE", "x-id FAILURE", "y-id FAILURE")
	if e := protocol.DecodeException(s.backend.stored[2].Value); e.Type != "ValueError" {
		t.Errorf("member failed with %s", e.Repr())
	}
	if sent := s.wantSent("err"); string(sent[0].Args[0]) != `"x-id"` {
		t.Errorf("errback got %s", sent[0].Args)
	}
}

// A body that cannot be sent is a chord that failed; one that another process
// took is theirs.
func TestBodyNotSent(t *testing.T) {
	s := newStage(t, Config{})
	s.task("h", 1, nil)
	s.backend.sizes["g"] = 1
	s.broker.fail = func() error { return broker.ErrRefused }
	s.deliver(member("1", 0, body()))
	s.wantStates("1 SUCCESS", "body-id FAILURE")

	s = newStage(t, Config{})
	s.task("h", 1, nil)
	s.backend.sizes["g"], s.backend.taken = 1, true
	s.deliver(member("1", 0, body()))
	s.wantStates("1 SUCCESS")
	s.wantSent()
}

func TestOrphansAreAdopted(t *testing.T) {
	s := newStage(t, Config{})
	s.task("h", 1, nil)
	s.backend.sizes["g"] = 5
	s.deliver(member("1", 0, body()))
	s.backend.orphans = []backend.OrphanChord{{
		Start: protocol.ChordStart{Group: "g", Size: 1, Body: body(), RootID: "root"}, Join: s.backend.join("g"),
	}}
	s.w.adoptChords(t.Context(), s.backend)
	b := s.wantSent("body")[0]
	if b.ID != "body-id" || b.ParentID != "1" || b.RootID != "root" || string(b.Args[0]) != "[1]" {
		t.Errorf("body %+v, args %s", b, b.Args)
	}
}

func TestAddToChord(t *testing.T) {
	s := newStage(t, Config{})
	var outside error
	Must(s.w.Register("h", func(ctx context.Context, _ *Task) (any, error) {
		res, err := AddToChord(ctx, client.Task("more", 1))
		if err == nil && res.ID == "" {
			err = errors.New("no handle")
		}
		return 1, err
	}))
	Must(s.w.Register("alone", func(ctx context.Context, _ *Task) (any, error) {
		_, outside = AddToChord(ctx, client.Task("more"))
		return nil, nil
	}))
	s.backend.sizes["g"] = 1
	s.deliver(member("1", 0, body()))
	more := s.wantSent("more")[0]
	if more.Group != "g" || *more.GroupIndex != 0 || more.Chord == nil || more.Chord.Task != "body" || more.RootID != "root" || more.ParentID != "1" {
		t.Errorf("added %+v", more)
	}
	if s.backend.sizes["g"] != 2 {
		t.Errorf("the chord waits for %d parts, want 2", s.backend.sizes["g"])
	}
	s.deliver(&protocol.Task{Name: "alone", ID: "2"})
	if !errors.Is(outside, ErrNoChord) {
		t.Errorf("outside a chord: %v", outside)
	}
}

// A chord that failed ends, although its errbacks cannot be sent or an id after
// its body cannot be written: otherwise it would fail again and again.
func TestFailedChordEnds(t *testing.T) {
	s := newStage(t, Config{})
	s.task("h", 1, nil, AcksLate(true))
	s.backend.sizes["g"] = 1
	s.broker.fail = func() error { return errors.New("no such vhost") }
	s.backend.put = func(r *protocol.Result) error {
		if r.TaskID == "body-id" {
			return errors.New("too large")
		}
		return nil
	}
	after := client.Set("chain", []protocol.Signature{client.With(client.Task("after"), client.ID("after-id"))})
	s.deliver(member("1", 0, body(after, client.LinkError(client.Task("err"))))).want(t, "ack")
	s.wantStates("1 SUCCESS", "after-id FAILURE")
	if !slices.Equal(s.backend.ended, []string{"g failed"}) {
		t.Errorf("chord ended as %v", s.backend.ended)
	}
}

// A chord does not wait for a member that was never sent.
func TestAddToChordRefused(t *testing.T) {
	s := newStage(t, Config{})
	var refused error
	Must(s.w.Register("h", func(ctx context.Context, _ *Task) (any, error) {
		_, refused = AddToChord(ctx, client.Task("more", make(chan int)))
		return 1, nil
	}))
	s.backend.sizes["g"] = 1
	s.deliver(member("1", 0, body()))
	if refused == nil {
		t.Error("an argument that cannot be written was sent")
	}
	s.wantSent("body")
}
