package worker

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// handle takes one delivery from claim to settlement. ctx is the tasks' context;
// what follows a run uses the worker's settling context instead, so that neither
// a revoke nor a shutdown loses an outcome.
func (w *Worker) handle(ctx context.Context, d broker.Delivery) {
	t, err := w.decoder.Task(d.Message())
	if err != nil {
		w.refuse(d, err)
		return
	}
	t.Redelivered = d.Redelivered()
	if t.Exchange == "" && t.RoutingKey == "" { // not said: a retry would go nowhere
		t.RoutingKey = d.Queue()
	}
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
		w.move("park until its eta", d, t, func(ctx context.Context) error { return d.Park(ctx, t.ETA) })
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
		{Name: "root_id", Value: protocol.OrNull(t.RootID)}, {Name: "parent_id", Value: protocol.OrNull(t.ParentID)},
		{Name: "retries", Value: t.Retries}, {Name: "eta", Value: protocol.TimeOrNull(t.ETA)}, {Name: "expires", Value: protocol.TimeOrNull(t.Expires)},
	})
}

// runTask executes a task and settles its outcome. A message that is not
// acknowledged late is acknowledged first, and the task begins only when that is
// certain.
func (w *Worker) runTask(run context.Context, d broker.Delivery, t *protocol.Task, reg *registration) {
	late := reg.options.acksLate
	if !late && w.finish("acknowledge before the run", t, d.Ack) != nil {
		return
	}
	ctx, settled := context.WithCancel(w.settling)
	defer settled()
	if w.cfg.Context != nil {
		ctx = w.cfg.Context(ctx, t)
	}
	out := w.execute(ctx, run, d, &Task{Task: t, Queue: d.Queue(), Hostname: w.name, worker: w}, reg)
	if late && out.state == interrupted {
		w.log.Warn("task interrupted, its message goes back to the queue", "task", t.Name, "id", t.ID)
		w.events.task(protocol.EventTaskCancelled, t.ID, nil)
		w.finish("return", t, d.Return)
		return
	}
	if err := w.settle(ctx, t, reg, out, late); err != nil {
		w.unsettled(d, t, err, late)
	} else if late {
		w.acknowledge(d, t, reg, out)
	}
}

// acknowledge ends the claim of a late-acknowledged task whose outcome is
// settled.
func (w *Worker) acknowledge(d broker.Delivery, t *protocol.Task, reg *registration, out outcome) {
	if !out.rejects(reg) {
		w.finish("acknowledge", t, d.Ack)
		return
	}
	requeue := out.requeue || out.timedOut
	w.events.task(protocol.EventTaskRejected, t.ID, protocol.Object{{Name: "requeue", Value: requeue}})
	w.finish("reject", t, func(ctx context.Context) error { return d.Reject(ctx, requeue) })
}

// unsettled deals with an outcome that could not be carried out. For want of a
// connection (the worker stops by then), or when a retry was refused, a
// late-acknowledged message goes back; anything else would fail again for ever,
// so that it becomes the task's failure and the message a dead letter.
func (w *Worker) unsettled(d broker.Delivery, t *protocol.Task, cause error, late bool) {
	w.log.Error("cannot settle a task", "task", t.Name, "id", t.ID, "error", cause)
	if lost(cause) || errors.Is(cause, errGoesBack) {
		if late {
			w.finish("return an unsettled message", t, d.Return)
		}
		return
	}
	w.failAll(w.settling, t, w.registry[t.Name], failure(cause))
	if late {
		w.finish("move to the dead-letter place", t, func(ctx context.Context) error {
			return d.Dead(ctx, "outcome cannot be settled: "+cause.Error())
		})
	}
}
