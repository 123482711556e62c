package worker

import (
	"context"
	"errors"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// refuse keeps a message that is no usable task in the dead-letter place, and
// tells whoever waits for the result when the id could be read. A message in a
// form that only others read, for a task that is not ours, is theirs.
func (w *Worker) refuse(d broker.Delivery, err error) {
	var e *protocol.Error
	if !errors.As(err, &e) {
		e = &protocol.Error{Kind: protocol.KindMalformed, Err: err}
	}
	t := &protocol.Task{
		ID: e.TaskID, Name: e.TaskName,
		ReplyTo: d.Message().Properties.ReplyTo, CorrelationID: d.Message().Properties.CorrelationID,
	}
	if e.Kind == protocol.KindContent && t.Name != "" && w.registry[t.Name] == nil {
		w.handleForeign(d, t)
		return
	}
	w.log.Error("refused a message; it is kept in the dead-letter place", "queue", d.Queue(), "error", err)
	if e.Fate == protocol.FateFail {
		w.failUnrun(t, &protocol.Exception{Module: "celery.exceptions", Type: "InvalidTaskError", Args: []any{e.Error()}})
	}
	w.finish("move to the dead-letter place", t, func(ctx context.Context) error { return d.Dead(ctx, err.Error()) })
}

// failUnrun stores FAILURE for a task that never ran, with its chord part.
func (w *Worker) failUnrun(t *protocol.Task, e *protocol.Exception) {
	if err := w.storeFailure(w.settling, t, outcome{state: failed, exception: e}, true); err != nil {
		w.log.Error("cannot store a failure", "task", t.Name, "id", t.ID, "error", err)
	}
	w.events.task(protocol.EventTaskFailed, t.ID, protocol.Object{{Name: "exception", Value: e.Repr()}})
}

// refuseRevoked ends a task that was revoked or has expired before it began.
func (w *Worker) refuseRevoked(d broker.Delivery, t *protocol.Task, reason string) {
	w.log.Info("discarding revoked task", "task", t.Name, "id", t.ID, "reason", reason)
	if err := w.settle(w.settling, t, w.registry[t.Name], outcome{state: revoked, reason: reason}, true); err != nil {
		w.unsettled(d, t, err, true)
		return
	}
	w.finish("acknowledge", t, d.Ack)
}
