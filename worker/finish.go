package worker

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// settleGrace is how long a stopping worker goes on trying to settle what
	// has run, unless its drain timeout is shorter.
	settleGrace = 30 * time.Second
	// ambiguous is how long after a broken connection a missing claim still
	// means that our own first try went through: no broker gives a claim away
	// sooner.
	ambiguous = 5 * time.Second
	// unmovedPause is how long a message stays with us that cannot be moved.
	unmovedPause = time.Second
)

// move parks a message or makes it a dead letter. One that the broker does not
// let us move, for want of a permission say, goes back to the queue after
// a pause: kept, it would take the place of another for as long as the worker
// runs.
func (w *Worker) move(doing string, d broker.Delivery, t *protocol.Task, to func(context.Context) error) {
	err := w.finish(doing, t, to)
	if err == nil || lost(err) || errors.Is(err, broker.ErrClaimLost) {
		return
	}
	pause.For(w.settling, unmovedPause)
	w.finish("put back", t, func(ctx context.Context) error { return d.Reject(ctx, true) })
}

// finish ends a claim, trying again for as long as the connection is the
// problem: a claim that nobody ends would never come back. An error, which it
// has logged, means that the claim did not end as asked.
func (w *Worker) finish(doing string, t *protocol.Task, end func(context.Context) error) error {
	var broken time.Time
	err := w.retry(w.settling, func() error {
		err := end(w.settling)
		switch {
		case lost(err) && broken.IsZero():
			broken = time.Now()
		case errors.Is(err, broker.ErrClaimLost) && !broken.IsZero() && time.Since(broken) < ambiguous:
			return nil
		}
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, broker.ErrClaimLost):
		w.log.Warn("claim lost: "+doing, "task", t.Name, "id", t.ID)
	default:
		w.log.Error("cannot "+doing, "task", t.Name, "id", t.ID, "error", err)
	}
	return err
}

// retry repeats what fails for want of a connection until ctx ends: an outcome
// is worth waiting for.
func (w *Worker) retry(ctx context.Context, do func() error) error {
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		err := do()
		if err == nil || !lost(err) {
			return err
		}
		if !pause.For(ctx, delay) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// lost reports whether an error is about the connection and not about what was
// asked.
func lost(err error) bool {
	return errors.Is(err, broker.ErrConnection) || errors.Is(err, broker.ErrReadOnly) || errors.Is(err, backend.ErrConnection)
}
