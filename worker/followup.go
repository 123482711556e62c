package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// errRefused means that the broker is there but does not take a message, after
// as many tries as the client makes.
var errRefused = errors.New("the broker refuses the message")

// followUp sends the callbacks and the next step of the chain with the result,
// and returns the result tuples of the task's children.
func (w *Worker) followUp(ctx context.Context, t *protocol.Task, result protocol.Raw) ([]protocol.Raw, error) {
	var opts protocol.Object
	if w.cfg.InheritPriority && t.Priority != nil {
		opts = protocol.Object{{Name: "priority", Value: *t.Priority}}
	}
	var sent trail
	for _, sig := range together(t.Callbacks) {
		if err := w.applyChild(ctx, t, sig, result, opts, &sent); err != nil {
			return sent.list(), err
		}
	}
	if n := len(t.Chain); n > 0 {
		if n > 1 {
			opts = opts.Set("chain", t.Chain[:n-1])
		}
		if err := w.applyChild(ctx, t, t.Chain[n-1], result, opts, &sent); err != nil {
			return sent.list(), err
		}
	}
	return sent.list(), nil
}

func (w *Worker) applyChild(ctx context.Context, t *protocol.Task, sig protocol.Signature, result protocol.Raw, opts protocol.Object, sent *trail) error {
	plan, err := w.apply(ctx, t, sig, []any{result}, opts)
	if err != nil {
		return err
	}
	tuple, err := protocol.DecodeTuple(plan.Result)
	if err == nil {
		sent.add(tuple)
	}
	return err
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

// apply sends a signature that follows the task.
func (w *Worker) apply(ctx context.Context, t *protocol.Task, sig protocol.Signature, args []any, opts protocol.Object) (protocol.Plan, error) {
	plan, err := w.plan(t, sig, args, opts)
	if err == nil {
		err = w.publish(ctx, func() error { return w.client.CarryOut(ctx, plan) })
	}
	return plan, err
}

// plan is made once, so that what is published again after a broken connection
// has the same ids.
func (w *Worker) plan(t *protocol.Task, sig protocol.Signature, args []any, opts protocol.Object) (protocol.Plan, error) {
	opts = append(opts[:len(opts):len(opts)],
		protocol.Field{Name: "root_id", Value: rootOf(t)}, protocol.Field{Name: "parent_id", Value: t.ID})
	return w.client.Plan(sig, args, opts, client.Parent{RootID: rootOf(t), ID: t.ID, ReplyTo: t.ReplyTo})
}

func rootOf(t *protocol.Task) string {
	if t.RootID == "" {
		return t.ID
	}
	return t.RootID
}

// publish repeats what fails for want of a connection, or of a server that takes
// writes again after a failover. What the broker refuses after the client's tries
// is given up, as in Celery: it would hold the slot for as long as a queue is
// full.
func (w *Worker) publish(ctx context.Context, do func() error) error {
	return w.retry(ctx, func() error {
		err := do()
		if errors.Is(err, broker.ErrRefused) {
			return fmt.Errorf("%w: %v", errRefused, err)
		}
		return err
	})
}
