package worker

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// settleTimeout bounds what happens after a task has run: it has a context of
// its own, so that neither a revoke nor a shutdown loses an outcome.
const settleTimeout = 30 * time.Second

// handle takes one delivery from claim to settlement.
func (w *Worker) handle(ctx context.Context, d broker.Delivery) {
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	t, err := protocol.DecodeTask(d.Message())
	if err != nil {
		w.refuse(settle, d, err)
		return
	}
	t.Redelivered = d.Redelivered()
	t.FillReprs()
	reg := w.registry[t.Name]
	switch gate(t, reg != nil, w.revoked.has(t.ID), time.Now()) {
	case unknown:
		w.handleForeign(settle, d, t)
	case isRevoked:
		w.refuseRevoked(settle, d, t, "revoked")
	case hasExpired:
		w.revoked.add(t.ID)
		w.refuseRevoked(settle, d, t, "expired")
	case notDue:
		w.received(t)
		w.check(d.Park(settle, t.ETA), "park until its eta", t)
	case ready:
		w.received(t)
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
// acknowledged late is acknowledged first: if that fails the task has not begun
// and the broker will deliver it again.
func (w *Worker) runTask(ctx context.Context, d broker.Delivery, t *protocol.Task, reg *registration) {
	late := reg.options.acksLate
	if !late {
		settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		err := d.Ack(settle)
		cancel()
		if err != nil {
			w.check(err, "acknowledge before the run", t)
			return
		}
	}
	out := w.execute(ctx, d, t, reg)
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := w.settle(settle, t, reg, out, late); err != nil {
		w.log.Error("cannot settle a task", "task", t.Name, "id", t.ID, "error", err)
		if late { // not acknowledged: the broker keeps it
			w.check(d.Return(settle), "return an unsettled message", t)
		}
		return
	}
	if late {
		w.check(w.release(settle, d, out), "acknowledge", t)
	}
}

// release ends the claim of a late-acknowledged message as its outcome asks.
func (w *Worker) release(ctx context.Context, d broker.Delivery, out outcome) error {
	switch out.state {
	case rejected:
		return d.Reject(ctx, out.requeue)
	case interrupted:
		return d.Return(ctx)
	}
	return d.Ack(ctx)
}

// refuse keeps a message that is no usable task in the dead-letter place, and
// tells whoever waits for the result when the id could be read.
func (w *Worker) refuse(ctx context.Context, d broker.Delivery, err error) {
	w.log.Error("refused a message", "queue", d.Queue(), "error", err)
	var e *protocol.Error
	if errors.As(err, &e) && e.Fate == protocol.FateFail {
		t := &protocol.Task{ID: e.TaskID, Name: e.TaskName, ReplyTo: d.Message().Properties.ReplyTo,
			CorrelationID: d.Message().Properties.CorrelationID}
		w.failUnrun(ctx, t, &protocol.Exception{Module: "celery.exceptions", Type: "InvalidTaskError", Args: []any{e.Error()}})
	}
	if derr := d.Dead(ctx, err.Error()); derr != nil && !errors.Is(derr, broker.ErrClaimLost) {
		w.log.Error("cannot move a message to the dead-letter place", "queue", d.Queue(), "error", derr)
	}
}

// failUnrun stores FAILURE for a task that never ran, with its chord part.
func (w *Worker) failUnrun(ctx context.Context, t *protocol.Task, e *protocol.Exception) {
	out := outcome{state: failed, exception: e}
	if err := w.storeFailure(ctx, t, out, protocol.StateFailure, true); err != nil {
		w.log.Error("cannot store a failure", "task", t.Name, "id", t.ID, "error", err)
	}
	w.events.task(protocol.EventTaskFailed, t.ID, protocol.Object{{Name: "exception", Value: e.Repr()}})
}

func (w *Worker) refuseRevoked(ctx context.Context, d broker.Delivery, t *protocol.Task, reason string) {
	w.log.Info("discarding revoked task", "task", t.Name, "id", t.ID, "reason", reason)
	err := w.settle(ctx, t, w.registry[t.Name], outcome{state: revoked, reason: reason}, false)
	if err != nil {
		w.log.Error("cannot store a revocation", "task", t.Name, "id", t.ID, "error", err)
	}
	w.check(d.Ack(ctx), "acknowledge", t)
}

// check logs a failed settling; a lost claim is the broker's business by then.
func (w *Worker) check(err error, doing string, t *protocol.Task) {
	switch {
	case err == nil:
	case errors.Is(err, broker.ErrClaimLost):
		w.log.Warn("claim lost: "+doing, "task", t.Name, "id", t.ID)
	default:
		w.log.Error("cannot "+doing, "task", t.Name, "id", t.ID, "error", err)
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
