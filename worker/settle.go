package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// settle carries out everything that follows from an outcome, in Celery's
// order, except the acknowledgement: on success callbacks and the next chain
// step, then the result, then the chord part; on failure result, chord part,
// chain steps, errbacks; the event last. An error means that the outcome may
// not be acknowledged.
func (w *Worker) settle(ctx context.Context, t *protocol.Task, reg *registration, out outcome, late bool) error {
	switch out.state {
	case succeeded:
		return w.settleSuccess(ctx, t, reg, out)
	case failed:
		return w.settleFailure(ctx, t, reg, out)
	case retried:
		return w.settleRetry(ctx, t, reg, out)
	case revoked:
		return w.settleRevoked(ctx, t, reg, out)
	case rejected:
		if !late && !out.requeue { // Celery 5.7: an early-acknowledged Reject is a failure
			return w.settleFailure(ctx, t, reg, out)
		}
		w.events.task(protocol.EventTaskRejected, t.ID, protocol.Object{{Name: "requeue", Value: out.requeue}})
	case interrupted: // acknowledged early, or its message would go back
		return w.settleFailure(ctx, t, reg, out)
	}
	return nil
}

func (w *Worker) settleSuccess(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	children, err := w.followUp(ctx, t, out.result)
	if err != nil {
		return w.settleFailure(ctx, t, reg, failure(fmt.Errorf("follow-up tasks cannot be sent: %w", err)))
	}
	res := w.meta(t, protocol.StateSuccess, out.result, "")
	res.Children = children
	if err := w.put(ctx, t, reg, res); err != nil {
		return err
	}
	if err := w.chordPart(ctx, t, res); err != nil {
		return err
	}
	shown, err := protocol.Decode(out.result)
	if err != nil {
		return err
	}
	repr := protocol.Repr(shown)
	w.log.Info("task succeeded", "task", t.DisplayName(), "id", t.ID, "runtime", out.runtime, "result", repr)
	w.events.task(protocol.EventTaskSucceeded, t.ID, protocol.Object{
		{Name: "result", Value: repr}, {Name: "runtime", Value: out.runtime.Seconds()},
	})
	return nil
}

// together makes one group of several signatures that are no groups themselves,
// as Celery does with callbacks.
func together(sigs []protocol.Signature) []protocol.Signature {
	var out, plain []protocol.Signature
	for _, s := range sigs {
		if s.SubtaskType == protocol.SubtaskGroup {
			out = append(out, s)
		} else {
			plain = append(plain, s)
		}
	}
	if len(plain) > 1 {
		return append(out, client.Group(plain...))
	}
	return append(out, plain...)
}

// followUp sends the callbacks and the next step of the chain with the result,
// and returns their result tuples.
func (w *Worker) followUp(ctx context.Context, t *protocol.Task, result protocol.Raw) ([]protocol.Raw, error) {
	var children []protocol.Raw
	for _, sig := range together(t.Callbacks) {
		plan, err := w.apply(ctx, t, sig, []any{result}, nil)
		if err != nil {
			return nil, err
		}
		children = append(children, plan.Result)
	}
	if n := len(t.Chain); n > 0 {
		var opts protocol.Object
		if n > 1 {
			opts = protocol.Object{{Name: "chain", Value: t.Chain[:n-1]}}
		}
		plan, err := w.apply(ctx, t, t.Chain[n-1], []any{result}, opts)
		if err != nil {
			return nil, err
		}
		children = append(children, plan.Result)
	}
	return children, nil
}

// apply sends a signature as a child of the task. The plan is made once, so that
// what is published again after a broken connection has the same ids.
func (w *Worker) apply(ctx context.Context, t *protocol.Task, sig protocol.Signature, args []any, opts protocol.Object) (protocol.Plan, error) {
	root := t.RootID
	if root == "" {
		root = t.ID
	}
	opts = append(opts, protocol.Field{Name: "root_id", Value: root}, protocol.Field{Name: "parent_id", Value: t.ID})
	plan, err := w.client.Plan(sig, args, opts, client.Parent{RootID: root, ID: t.ID, ReplyTo: t.ReplyTo})
	if err == nil {
		err = w.retry(ctx, func() error { return w.client.CarryOut(ctx, plan) })
	}
	return plan, err
}

func (w *Worker) settleFailure(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	ignore := w.ignores(t, reg)
	if err := w.storeFailure(ctx, t, out, !ignore); err != nil {
		return err
	}
	if err := w.callErrbacks(ctx, t, t.Errbacks); err != nil {
		return err
	}
	w.log.Error("task failed", "task", t.DisplayName(), "id", t.ID, "runtime", out.runtime, "exception", out.exception.Repr())
	w.events.task(protocol.EventTaskFailed, t.ID, protocol.Object{
		{Name: "exception", Value: out.exception.Repr()}, {Name: "traceback", Value: out.traceback},
	})
	return nil
}

// storeFailure is Celery's mark_as_failure: the result, the chord part, and the
// same failure for every remaining step of the chain, so that its last id
// resolves.
func (w *Worker) storeFailure(ctx context.Context, t *protocol.Task, out outcome, store bool) error {
	res := w.meta(t, protocol.StateFailure, out.exception.Raw(), out.traceback)
	if store {
		if err := w.put(ctx, t, nil, res); err != nil {
			return err
		}
	}
	if err := w.chordPart(ctx, t, res); err != nil {
		return err
	}
	return w.failSteps(ctx, t, t.Chain, res)
}

// failSteps stores a failure for signatures that will now never run, into the
// steps after a chord as well.
func (w *Worker) failSteps(ctx context.Context, t *protocol.Task, steps []protocol.Signature, res *protocol.Result) error {
	for _, sig := range steps {
		step := protocol.Frozen(sig)
		for _, p := range step {
			r := *res
			r.TaskID, r.GroupID, r.Children = p.ID, p.Group, nil
			member := &protocol.Task{Name: p.Name, ID: p.ID, Group: p.Group, GroupIndex: p.GroupIndex, Chord: p.Chord,
				ReplyTo: p.ReplyTo, CorrelationID: p.ID, RootID: t.RootID, ParentID: t.ParentID}
			if err := w.put(ctx, member, nil, &r); err != nil {
				return err
			}
			if err := w.chordPart(ctx, member, &r); err != nil {
				return err
			}
		}
	}
	return nil
}

// callErrbacks sends the error callbacks, as Celery does for those that are not
// registered here: one group, each with the failed id as its only argument.
func (w *Worker) callErrbacks(ctx context.Context, t *protocol.Task, errbacks []protocol.Signature) error {
	for _, sig := range together(errbacks) {
		if _, err := w.apply(ctx, t, sig, []any{t.ID}, nil); err != nil {
			return fmt.Errorf("call errback %s: %w", sig.Task, err)
		}
	}
	return nil
}

// settleRetry publishes the task again under its own id and stores RETRY.
func (w *Worker) settleRetry(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	next := *t
	next.Retries++
	next.ETA = out.eta
	if next.ParentID == "" {
		next.ParentID = t.ID // Celery's quirk: a retried root names itself
	}
	if err := w.retry(ctx, func() error { return w.client.Resend(ctx, &next) }); err != nil {
		return fmt.Errorf("publish the retry: %w", err)
	}
	if err := w.put(ctx, t, reg, w.meta(t, protocol.StateRetry, out.exception.Raw(), out.traceback)); err != nil {
		return err
	}
	w.log.Info("task will be retried", "task", t.DisplayName(), "id", t.ID, "at", out.eta, "exception", out.exception.Repr())
	w.events.task(protocol.EventTaskRetried, t.ID, protocol.Object{
		{Name: "exception", Value: out.exception.Repr()}, {Name: "traceback", Value: out.traceback},
	})
	return nil
}

func (w *Worker) settleRevoked(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	res := w.meta(t, protocol.StateRevoked, protocol.TaskRevoked(out.reason).Raw(), "")
	if err := w.put(ctx, t, reg, res); err != nil {
		return err
	}
	if err := w.chordPart(ctx, t, res); err != nil {
		return err
	}
	terminated := out.reason == "terminated"
	var signal any
	if terminated {
		signal = 15
	}
	w.events.task(protocol.EventTaskRevoked, t.ID, protocol.Object{
		{Name: "terminated", Value: terminated}, {Name: "signum", Value: signal}, {Name: "expired", Value: out.reason == "expired"},
	})
	return nil
}

func (w *Worker) meta(t *protocol.Task, status string, value protocol.Raw, traceback string) *protocol.Result {
	r := &protocol.Result{TaskID: t.ID, Status: status, Value: value, Traceback: traceback, GroupID: t.Group, ParentID: t.ParentID}
	if protocol.Ready(status) {
		r.DateDone = time.Now()
	}
	return r
}

// ignores reports whether the result is not wanted: the message decides, else
// the registration.
func (w *Worker) ignores(t *protocol.Task, reg *registration) bool {
	if t.IgnoreResult != nil {
		return *t.IgnoreResult
	}
	return reg != nil && reg.options.ignoreResult
}

// put stores a result unless there is nowhere or no wish to.
func (w *Worker) put(ctx context.Context, t *protocol.Task, reg *registration, r *protocol.Result) error {
	if w.cfg.Backend == nil || w.ignores(t, reg) {
		return nil
	}
	err := w.retry(ctx, func() error {
		return w.cfg.Backend.Put(ctx, backend.Put{
			Result: r, ReplyTo: t.ReplyTo, CorrelationID: t.CorrelationID, Expires: w.cfg.ResultExpires,
		})
	})
	if err != nil {
		return fmt.Errorf("store result of %s: %w", t.ID, err)
	}
	return nil
}
