package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// An errback that is registered here is called inline, the others are sent as
// one group.
func TestErrbacks(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, errBoom)
	var got, stored string
	Must(Errback(s.w, "inline", func(ctx context.Context, r *Task, e *protocol.Exception, traceback string) error {
		got = r.ID + " " + e.Repr() + " " + traceback
		stored = string(FromContext(ctx).Args[0])
		if err := Client(ctx).Publish(ctx, client.Task("child")); err != nil {
			return err
		}
		return errors.New("is logged")
	}))
	Must(Errback(s.w, "panics", func(context.Context, *Task, *protocol.Exception, string) error { panic("ouch") }))
	s.deliver(&protocol.Task{Name: "a", ID: "1", Errbacks: []protocol.Signature{
		client.Task("inline", 5), client.Task("panics"), client.Task("far", 6), client.Task("away"),
	}}).want(t, "ack")
	if want := "1 ValueError('boom') ValueError: boom\n"; got != want || stored != "5" {
		t.Errorf("got %q with %s, want %q", got, stored, want)
	}
	sent := s.wantSent("child", "far", "away")
	if child := sent[0]; child.ParentID != "1" || child.RootID != "1" {
		t.Errorf("what an errback sends has the parent %q and the root %q", child.ParentID, child.RootID)
	}
	sent = sent[1:]
	if sent[0].Group == "" || sent[0].Group != sent[1].Group || sent[0].ParentID != "1" {
		t.Errorf("errbacks are no group of the failed task: %+v", sent[0])
	}
	if len(sent[0].Args) != 2 || string(sent[0].Args[0]) != `"1"` {
		t.Errorf("args %s", sent[0].Args)
	}
	s.wantStates("1 FAILURE")
}

// An errback that comes as a message finds the failure by its id.
func TestErrbackByMessage(t *testing.T) {
	s := newStage(t, Config{})
	var got string
	Must(Errback(s.w, "inline", func(_ context.Context, r *Task, e *protocol.Exception, traceback string) error {
		got = r.ID + " " + e.Repr() + " " + traceback
		return nil
	}))
	s.backend.stored = []*protocol.Result{{TaskID: "9", Status: protocol.StateFailure, Value: protocol.NewException("x").Raw(), Traceback: "tb"}}
	s.send(client.Task("inline", "9"))
	if want := "9 Exception('x') tb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.send(client.Task("inline"), client.ID("no-arg"))
	if r, _ := s.backend.Get(t.Context(), "no-arg"); protocol.DecodeException(r.Value).Type != "TypeError" {
		t.Errorf("without an id: %+v", r)
	}
}

// Errbacks that cannot be sent neither hide why the task failed nor are those
// called again that were.
func TestErrbacksNotSent(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, errBoom, AcksLate(true))
	calls := 0
	Must(Errback(s.w, "inline", func(context.Context, *Task, *protocol.Exception, string) error { calls++; return nil }))
	s.broker.fail = func() error { return errors.New("no such vhost") }
	s.deliver(&protocol.Task{Name: "a", ID: "1", Errbacks: []protocol.Signature{client.Task("inline"), client.Task("far")}}).want(t, "ack")
	s.wantStates("1 FAILURE")
	if e := protocol.DecodeException(s.backend.stored[0].Value); e.Type != "ValueError" || calls != 1 {
		t.Errorf("stored %s, %d inline calls", e.Repr(), calls)
	}
	s.wantEvents("task-received", "task-started", "task-failed")
}
