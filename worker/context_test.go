package worker

import (
	"context"
	"testing"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// tracer stands for a W3C propagator: a task's span is its parent's with "/"
// and the task's name.
type tracer struct{}

func (tracer) headers(ctx context.Context) protocol.Object {
	span, _ := ctx.Value(tracer{}).(string)
	if span == "" {
		return nil
	}
	return protocol.Object{{Name: "traceparent", Value: span}}
}

func (tracer) begin(ctx context.Context, t *protocol.Task) context.Context {
	return context.WithValue(ctx, tracer{}, t.Headers.String("traceparent")+"/"+t.Name)
}

// A trace that a producer began goes on through the task into all that follows
// it.
func TestTraceContinues(t *testing.T) {
	s := newStage(t, Config{Headers: tracer{}.headers, Context: tracer{}.begin})
	s.task("fails", nil, errBoom)
	s.task("again", nil, Retry(errBoom, 0))
	var inside string
	var ended context.Context
	Must(s.w.Register("a", func(ctx context.Context, _ *Task) (any, error) {
		inside, _ = ctx.Value(tracer{}).(string)
		ended = ctx
		_, err := Client(ctx).Send(ctx, client.Task("child"))
		return 1, err
	}))
	python := protocol.Object{{Name: "traceparent", Value: "py"}}
	s.backend.sizes["g"] = 1
	b := body()
	s.deliver(&protocol.Task{Name: "a", ID: "1", Headers: python, Group: "g", Chord: &b,
		Callbacks: []protocol.Signature{client.Task("cb"), client.With(client.Task("own"), client.Header("traceparent", "mine"))},
		Chain:     []protocol.Signature{client.Task("step")}})
	s.deliver(&protocol.Task{Name: "fails", ID: "2", Headers: python, Errbacks: []protocol.Signature{client.Task("err")}})
	s.deliver(&protocol.Task{Name: "again", ID: "3", Headers: python})
	if inside != "py/a" {
		t.Errorf("the handler sees %q", inside)
	}
	want := []string{"py/a", "py/a", "mine", "py/a", "py/a", "py/fails", "py"}
	for i, task := range s.wantSent("child", "cb", "own", "step", "body", "err", "again") {
		if got := task.Headers.String("traceparent"); got != want[i] {
			t.Errorf("%s carries %q, want %q", task.Name, got, want[i])
		}
	}
	if ended.Err() == nil {
		t.Error("the task's context outlives its outcome")
	}
}

// What a handler sends is its child, on the wire and in its result.
func TestChildren(t *testing.T) {
	s := newStage(t, Config{})
	Must(s.w.Register("a", func(ctx context.Context, _ *Task) (any, error) {
		other := client.New(client.Config{Broker: s.broker})
		for _, sig := range []protocol.Signature{
			client.With(client.Task("one"), client.ID("one-id")),
			client.Chain(client.With(client.Task("first"), client.ID("first-id")), client.Task("second")),
			client.Group(client.With(client.Task("m"), client.ID("m-id"))),
			client.With(client.Task("hidden"), client.Set("add_to_parent", false)),
		} {
			if _, err := other.Send(ctx, sig); err != nil {
				return nil, err
			}
		}
		return nil, errBoom
	}))
	s.deliver(&protocol.Task{Name: "a", ID: "1", RootID: "root"})
	for _, task := range s.wantSent("one", "first", "m", "hidden") {
		if task.RootID != "root" || task.ParentID != "1" {
			t.Errorf("%s: root %q, parent %q", task.Name, task.RootID, task.ParentID)
		}
	}
	var got []string
	for _, raw := range s.backend.stored[0].Children {
		c, err := protocol.DecodeTuple(raw)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c.Tasks()...)
	}
	if len(got) != 3 || got[0] != "one-id" || got[1] != "first-id" || got[2] != "m-id" {
		t.Errorf("children %v", got)
	}
}
