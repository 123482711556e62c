package worker

import (
	"context"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

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

func (w *Worker) joinChord(ctx context.Context, t *protocol.Task, join *backend.ChordJoin) error {
	values := make([]protocol.Raw, len(join.Parts))
	for i, p := range join.Parts {
		if p.Status != protocol.StateSuccess {
			e := protocol.ChordError(fmt.Sprintf("Dependency %s raised %s", p.TaskID, protocol.DecodeException(p.Value).Repr()))
			return w.failChord(ctx, t, join, e)
		}
		values[i] = p.Value
	}
	var held bool
	err := w.retry(ctx, func() (err error) { held, err = join.Extend(ctx); return err })
	if err != nil || !held {
		return err // somebody else publishes the body
	}
	if _, err := w.apply(ctx, t, *t.Chord, []any{values}, nil); err != nil {
		w.log.Error("cannot send the body of a chord", "chord", t.Group, "error", err)
		return w.failChord(ctx, t, join, protocol.ChordError("Callback error: "+err.Error()))
	}
	// Repeated by itself: repeating the whole part would publish the body again.
	return w.retry(ctx, func() error { return join.Done(ctx) })
}

// failChord stores the failure under the body's id and those of the steps after
// it, and calls the body's errbacks.
func (w *Worker) failChord(ctx context.Context, t *protocol.Task, join *backend.ChordJoin, e *protocol.Exception) error {
	w.log.Error("chord failed", "chord", t.Group, "body", t.Chord.Task, "exception", e.Repr())
	res := w.meta(&protocol.Task{RootID: t.RootID}, protocol.StateFailure, e.Raw(), "")
	if err := w.failSteps(ctx, t, []protocol.Signature{*t.Chord}, res); err != nil {
		return err
	}
	for _, p := range protocol.Errbacks(*t.Chord) {
		if err := w.callErrbacks(ctx, &protocol.Task{ID: p.ID, RootID: t.RootID}, p.Errbacks); err != nil {
			return err
		}
	}
	return w.retry(ctx, func() error { return join.Failed(ctx) })
}
