package worker

import (
	"context"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// handle takes one delivery from claim to settlement. ctx is the tasks' context;
// what follows a run uses the worker's settling context instead, so that neither
// a revoke nor a shutdown loses an outcome.
func (w *Worker) handle(ctx context.Context, d broker.Delivery) {
	t, err := protocol.DecodeTask(d.Message())
	if err != nil {
		w.refuse(d, err)
		return
	}
	t.Redelivered = d.Redelivered()
	t.FillReprs()
	reg := w.registry[t.Name]
	switch gate(t, reg != nil, w.revoked.has(t.ID), time.Now()) {
	case unknown:
		w.handleForeign(d, t)
	case isRevoked:
		w.refuseRevoked(d, t, "revoked")
	case hasExpired:
		w.revoked.add(t.ID)
		w.refuseRevoked(d, t, "expired")
	case notDue:
		w.received(t)
		w.announced.add(t.ID)
		w.finish("park until its eta", t, func(ctx context.Context) error { return d.Park(ctx, t.ETA) })
	case ready:
		w.strangers.Store(0)
		if !w.announced.take(t.ID) {
			w.received(t)
		}
		w.runTask(ctx, d, t, reg)
	}
}

func (w *Worker) received(t *protocol.Task) {
	w.log.Info("task received", "task", t.DisplayName(), "id", t.ID)
	w.events.task(protocol.EventTaskReceived, t.ID, protocol.Object{
		{Name: "name", Value: t.DisplayName()}, {Name: "args", Value: t.ArgsRepr}, {Name: "kwargs", Value: t.KwargsRepr},
		{Name: "root_id", Value: nullable(t.RootID)}, {Name: "parent_id", Value: nullable(t.ParentID)},
		{Name: "retries", Value: t.Retries}, {Name: "eta", Value: isoOrNull(t.ETA)}, {Name: "expires", Value: isoOrNull(t.Expires)},
	})
}

// runTask executes a task and settles its outcome. A message that is not
// acknowledged late is acknowledged first, and the task begins only when that is
// certain.
func (w *Worker) runTask(ctx context.Context, d broker.Delivery, t *protocol.Task, reg *registration) {
	late := reg.options.acksLate
	if !late && !w.finish("acknowledge before the run", t, d.Ack) {
		return
	}
	out := w.execute(ctx, d, t, reg)
	if late && out.state == interrupted {
		w.log.Warn("task interrupted, its message goes back to the queue", "task", t.Name, "id", t.ID)
		w.events.task(protocol.EventTaskCancelled, t.ID, nil)
		w.finish("return", t, d.Return)
		return
	}
	err := w.settle(w.settling, t, reg, out, late)
	switch {
	case err == nil && late:
		w.finish("acknowledge", t, func(ctx context.Context) error {
			if out.state == rejected {
				return d.Reject(ctx, out.requeue)
			}
			return d.Ack(ctx)
		})
	case err != nil:
		w.unsettled(d, t, err, late)
	}
}

// unsettled deals with an outcome that could not be carried out. For want of a
// connection (the worker stops by then) a late-acknowledged message goes back;
// anything else would fail again for ever, so that it becomes the task's failure
// and the message a dead letter.
func (w *Worker) unsettled(d broker.Delivery, t *protocol.Task, cause error, late bool) {
	w.log.Error("cannot settle a task", "task", t.Name, "id", t.ID, "error", cause)
	if lost(cause) {
		if late {
			w.finish("return an unsettled message", t, d.Return)
		}
		return
	}
	f := failure(cause)
	if err := w.put(w.settling, t, nil, w.meta(t, protocol.StateFailure, f.exception.Raw(), f.traceback)); err != nil {
		w.log.Error("cannot store a failure", "task", t.Name, "id", t.ID, "error", err)
	}
	w.events.task(protocol.EventTaskFailed, t.ID, protocol.Object{{Name: "exception", Value: f.exception.Repr()}})
	if late {
		w.finish("move to the dead-letter place", t, func(ctx context.Context) error {
			return d.Dead(ctx, "outcome cannot be settled: "+cause.Error())
		})
	}
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func isoOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return protocol.FormatTime(t)
}
