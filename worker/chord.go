package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// errTaken means that somebody else publishes the body of a chord.
var errTaken = errors.New("the chord is finished elsewhere")

// chordPart records a finished header member with the backend and, when it is
// the last, runs the body. It happens for every final state and also when the
// result itself is ignored: a chord that misses a part never fires.
func (w *Worker) chordPart(ctx context.Context, t *protocol.Task, res *protocol.Result) error {
	if t.Chord == nil || t.Group == "" || !res.Ready() {
		return nil
	}
	ch, ok := w.cfg.Backend.(backend.Chorder)
	if !ok {
		return fmt.Errorf("chord part of %s: %w: use a Redis result backend", t.ID, backend.ErrUnsupported)
	}
	var join *backend.ChordJoin
	err := w.retry(ctx, func() (err error) {
		join, err = ch.AddPart(ctx, backend.Part{Group: t.Group, Index: t.GroupIndex, Result: res, Body: *t.Chord, RootID: t.RootID})
		return err
	})
	if err != nil {
		return fmt.Errorf("chord part of %s: %w", t.ID, err)
	}
	if join == nil {
		return nil
	}
	return w.joinChord(ctx, t, join)
}

// joinChord publishes the body with the results of the header, or fails it. t is
// the member that came last: the body's parent.
func (w *Worker) joinChord(ctx context.Context, t *protocol.Task, join *backend.ChordJoin) error {
	values := make([]protocol.Raw, len(join.Parts))
	for i, p := range join.Parts {
		if p.Status != protocol.StateSuccess {
			cause := protocol.DecodeException(p.Value)
			e := protocol.ChordError(fmt.Sprintf("Dependency %s raised %s", p.TaskID, cause.Repr()))
			return w.failChord(ctx, t, join, e, cause)
		}
		values[i] = p.Value
	}
	plan, err := w.plan(t, *t.Chord, []any{values}, nil)
	if err == nil {
		err = w.publish(ctx, func() error {
			held, err := join.Extend(ctx) // each time: the broker may have been away for longer than a claim lasts
			if err == nil && !held {
				err = errTaken
			}
			if err != nil {
				return err
			}
			return w.client.CarryOut(ctx, plan)
		})
	}
	switch {
	case errors.Is(err, errTaken):
		w.log.Warn("the body of a chord is left to whoever took it over", "chord", t.Group, "body", t.Chord.Task)
		return nil
	case lost(err):
		return err
	case err != nil:
		w.log.Error("cannot send the body of a chord", "chord", t.Group, "error", err)
		e := protocol.ChordError("Callback error: " + err.Error())
		return w.failChord(ctx, t, join, e, e)
	}
	// Repeated by itself: repeating the whole part would publish the body again.
	return w.retry(ctx, func() error { return join.Done(ctx) })
}

// failChord stores the failure under the body's id and those of the steps after
// it, and calls the body's errbacks. The members of a body that is a group fail
// with the cause itself, as in Celery.
func (w *Worker) failChord(ctx context.Context, t *protocol.Task, join *backend.ChordJoin, e, cause *protocol.Exception) error {
	body := *t.Chord
	if body.SubtaskType == protocol.SubtaskGroup {
		e = cause
	}
	w.log.Error("chord failed", "chord", t.Group, "body", body.Task, "exception", e.Repr())
	res := w.meta(&protocol.Task{RootID: t.RootID}, protocol.StateFailure, e.Raw(), outcome{})
	if err := w.failSteps(ctx, t, []protocol.Signature{body}, res); err != nil {
		return err
	}
	for _, p := range protocol.Errbacks(body) {
		if p.ID == "" { // a chain is known by the id of its end
			p.ID = lastID(body)
		}
		failed := &protocol.Task{ID: p.ID, Name: body.Task, RootID: t.RootID}
		if err := w.callErrbacks(ctx, failed, p.Errbacks, e, ""); err != nil {
			return fmt.Errorf("call the errbacks of a chord's body: %w", err)
		}
	}
	return w.retry(ctx, func() error { return join.Failed(ctx) })
}

// lastID is the id that the result of a frozen signature stands under.
func lastID(sig protocol.Signature) string {
	sig.Options = sig.Options.Without("chain") // what follows it
	tasks := protocol.Frozen(sig)
	if len(tasks) == 0 {
		return ""
	}
	return tasks[len(tasks)-1].ID
}
