package worker

import (
	"context"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// storeFailure is Celery's mark_as_failure: the result, the chord part, and the
// same failure for every remaining step of the chain, so that its last id
// resolves.
func (w *Worker) storeFailure(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	res := w.meta(t, protocol.StateFailure, out.exception.Raw(), out)
	if err := w.put(ctx, t, reg, res); err != nil {
		return err
	}
	if err := w.chordPart(ctx, t, res); err != nil {
		return err
	}
	return w.failSteps(ctx, t, t.Chain, res)
}

// failSteps stores a failure for signatures that will now never run, into the
// steps after a chord as well, with their parts of outer chords. It does so also
// where the failed task's own result is ignored: whoever waits for the end of
// the chain waits for another id. One that cannot be failed does not keep the
// failure from the others; an error is about the connection.
func (w *Worker) failSteps(ctx context.Context, t *protocol.Task, steps []protocol.Signature, res *protocol.Result) error {
	for _, sig := range steps {
		for _, p := range protocol.Frozen(sig) {
			err := w.failStep(ctx, t, p, *res)
			if lost(err) {
				return err
			}
			if err != nil {
				w.log.Error("cannot fail a step after a task", "step", p.Name, "id", p.ID, "error", err)
			}
		}
	}
	return nil
}

func (w *Worker) failStep(ctx context.Context, t *protocol.Task, p protocol.Pending, res protocol.Result) error {
	res.TaskID, res.GroupID, res.ParentID, res.Children, res.Extra = p.ID, p.Group, "", nil, nil
	step := &protocol.Task{Name: p.Name, ID: p.ID, Group: p.Group, GroupIndex: p.GroupIndex, Chord: p.Chord,
		ReplyTo: p.ReplyTo, CorrelationID: p.ID, RootID: t.RootID}
	if err := w.put(ctx, step, nil, &res); err != nil {
		return err
	}
	return w.chordPart(ctx, step, &res)
}

// callErrbacks calls the error callbacks: those that are registered here with
// Errback inline, the others as messages, in one group, each with the failed id
// as its only argument. Those that cannot be sent are logged, since the failure
// that they are about stands; an error is about the connection.
func (w *Worker) callErrbacks(ctx context.Context, t *protocol.Task, errbacks []protocol.Signature, e *protocol.Exception, traceback string) error {
	var others []protocol.Signature
	for _, sig := range errbacks {
		if reg := w.registry[sig.Task]; reg != nil && reg.errback != nil {
			w.callInline(ctx, t, reg, sig, e, traceback)
		} else {
			others = append(others, sig)
		}
	}
	if len(others) == 0 {
		return nil
	}
	_, err := w.apply(ctx, t, client.Group(others...), []any{t.ID}, nil)
	if err != nil && !lost(err) {
		w.log.Error("cannot send the errbacks of a task", "task", t.DisplayName(), "id", t.ID, "error", err)
		return nil
	}
	return err
}

// failAll carries out a failure as far as it goes, for a task that cannot be
// settled otherwise.
func (w *Worker) failAll(ctx context.Context, t *protocol.Task, reg *registration, out outcome) {
	res := w.meta(t, protocol.StateFailure, out.exception.Raw(), out)
	try := func(doing string, err error) {
		if err != nil {
			w.log.Error("cannot "+doing, "task", t.Name, "id", t.ID, "error", err)
		}
	}
	try("store a failure", w.put(ctx, t, reg, res))
	try("add a part to a chord", w.chordPart(ctx, t, res))
	try("fail the steps after a task", w.failSteps(ctx, t, t.Chain, res))
	try("call the errbacks of a task", w.callErrbacks(ctx, t, t.Errbacks, out.exception, out.traceback))
	w.events.task(protocol.EventTaskFailed, t.ID, out.raised())
}
