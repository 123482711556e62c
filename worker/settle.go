package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/protocol"
)

// errGoesBack means that a late-acknowledged message has to be run again.
var errGoesBack = errors.New("the message goes back to the queue")

// settle carries out everything that follows from an outcome, in Celery's
// order, except the acknowledgement: on success callbacks and the next chain
// step, then the result, then the chord part; on failure result, chord part,
// chain steps, errbacks; the event last. An error means that the outcome may
// not be acknowledged.
func (w *Worker) settle(ctx context.Context, t *protocol.Task, reg *registration, out outcome, late bool) error {
	switch out.state {
	case succeeded:
		return w.settleSuccess(ctx, t, reg, out)
	case failed, interrupted: // interrupted after an early acknowledgement: nobody runs it again
		return w.settleFailure(ctx, t, reg, out)
	case retried:
		return w.settleRetry(ctx, t, reg, out, late)
	case replaced:
		return w.settleReplaced(ctx, t, reg, out)
	case revoked:
		return w.settleRevoked(ctx, t, reg, out)
	case rejected:
		if !out.requeue { // Celery 5.7: it never runs again, so it has failed
			return w.settleFailure(ctx, t, reg, out)
		}
		if !late {
			w.log.Warn("a task asks to be requeued whose message is acknowledged already; register it with AcksLate",
				"task", t.DisplayName(), "id", t.ID)
		}
	}
	return nil
}

func (w *Worker) settleSuccess(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	children, err := w.followUp(ctx, t, out.result)
	out.children = append(out.children, children...)
	if err != nil {
		if lost(err) {
			return err
		}
		return w.settleFailure(ctx, t, reg, out.failing(fmt.Errorf("follow-up tasks cannot be sent: %w", err)))
	}
	res := w.meta(t, protocol.StateSuccess, out.result, out)
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

func (w *Worker) settleFailure(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	if err := w.storeFailure(ctx, t, reg, out); err != nil {
		return err
	}
	if err := w.callErrbacks(ctx, t, t.Errbacks, out.exception, out.traceback); err != nil {
		return err
	}
	w.log.Error("task failed", "task", t.DisplayName(), "id", t.ID, "runtime", out.runtime, "exception", out.exception.Repr())
	w.events.task(protocol.EventTaskFailed, t.ID, out.raised())
	return nil
}

// settleRetry publishes the task again under its own id and stores RETRY. A
// retry that the broker refuses leaves a late-acknowledged message to be run
// again; otherwise it is the task's failure.
func (w *Worker) settleRetry(ctx context.Context, t *protocol.Task, reg *registration, out outcome, late bool) error {
	next := *t
	next.Retries++
	next.ETA = out.eta
	if next.ParentID == "" {
		next.ParentID = t.ID // Celery's quirk: a retried root names itself
	}
	if out.args != nil {
		next.Args, next.ArgsRepr = out.args, ""
	}
	if out.kwargs != nil {
		next.Kwargs, next.KwargsRepr = out.kwargs, ""
	}
	next.FillReprs()
	if err := w.publish(ctx, func() error { return w.client.Resend(ctx, &next) }); err != nil {
		err = fmt.Errorf("publish the retry: %w", err)
		switch {
		case lost(err):
			return err
		case late && errors.Is(err, errRefused):
			return errors.Join(errGoesBack, err)
		}
		return w.settleFailure(ctx, t, reg, out.failing(err))
	}
	out.children = append(out.children, protocol.ResultTuple(t.ID, nil)) // a task that sends itself
	if err := w.put(ctx, t, reg, w.meta(t, protocol.StateRetry, out.exception.Raw(), out)); err != nil {
		return err
	}
	w.log.Info("task will be retried", "task", t.DisplayName(), "id", t.ID, "at", out.eta, "exception", out.exception.Repr())
	w.events.task(protocol.EventTaskRetried, t.ID, out.raised())
	return nil
}

func (w *Worker) settleRevoked(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	res := w.meta(t, protocol.StateRevoked, protocol.TaskRevoked(out.reason).Raw(), outcome{})
	res.NoChildren = true
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
