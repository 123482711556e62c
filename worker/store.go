package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// startedPatience bounds how long a task waits for its state STARTED to be
// stored before it runs without it.
const startedPatience = 5 * time.Second

// meta is the stored form of what a task has come to.
func (w *Worker) meta(t *protocol.Task, status string, value protocol.Raw, out outcome) *protocol.Result {
	r := &protocol.Result{
		TaskID: t.ID, Status: status, Value: value, Traceback: out.traceback, Children: out.children,
		GroupID: t.Group, ParentID: t.ParentID,
	}
	if protocol.Ready(status) {
		r.DateDone = time.Now()
	}
	if w.cfg.ResultExtended {
		r.Extra = w.extended(t)
	}
	return r
}

func (w *Worker) extended(t *protocol.Task) protocol.Object {
	e := protocol.Extended{
		Name: t.Name, Worker: w.name, Retries: t.Retries, Queue: t.RoutingKey,
		StampedHeaders: t.StampedHeaders, Stamps: t.Stamps,
	}
	e.Args, _ = protocol.Marshal(append([]protocol.Raw{}, t.Args...)) // raw JSON cannot fail
	e.Kwargs, _ = protocol.Marshal(t.KwargsObject())
	return e.Object()
}

// ignores reports whether the result is not wanted: the message decides, else
// the registration.
func (w *Worker) ignores(t *protocol.Task, reg *registration) bool {
	if t.IgnoreResult != nil {
		return *t.IgnoreResult
	}
	return reg != nil && reg.options.ignoreResult
}

// stores reports whether a state is written. Of a task whose result is ignored
// only errors are, and only on request.
func (w *Worker) stores(t *protocol.Task, reg *registration, status string) bool {
	if w.cfg.Backend == nil {
		return false
	}
	if !w.ignores(t, reg) {
		return true
	}
	return protocol.Exceptional(status) && reg != nil && reg.options.storeErrors
}

// put stores a result unless there is nowhere or no wish to.
func (w *Worker) put(ctx context.Context, t *protocol.Task, reg *registration, r *protocol.Result) error {
	if !w.stores(t, reg, r.Status) {
		return nil
	}
	err := w.retry(ctx, func() error { return w.putOnce(ctx, t, r) })
	if err != nil {
		return fmt.Errorf("store result of %s: %w", t.ID, err)
	}
	return nil
}

func (w *Worker) putOnce(ctx context.Context, t *protocol.Task, r *protocol.Result) error {
	return w.cfg.Backend.Put(ctx, backend.Put{
		Result: r, ReplyTo: t.ReplyTo, CorrelationID: t.CorrelationID, Expires: w.cfg.ResultExpires,
	})
}

// putStarted stores STARTED where that is wanted. A task does not fail for want
// of it.
func (w *Worker) putStarted(ctx context.Context, t *protocol.Task, reg *registration) {
	if !reg.options.trackStarted || !w.stores(t, reg, protocol.StateStarted) {
		return
	}
	where, err := protocol.Marshal(protocol.Object{{Name: "pid", Value: w.pid()}, {Name: "hostname", Value: w.name}})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, startedPatience)
		defer cancel()
		err = w.putOnce(ctx, t, w.meta(t, protocol.StateStarted, where, outcome{}))
	}
	if err != nil {
		w.log.Warn("cannot store that a task has started", "task", t.DisplayName(), "id", t.ID, "error", err)
	}
}

// checkBackend asks the result backend for anything, before a task runs whose
// result could not be stored. One that cannot be reached is waited for later; one
// that refuses us (a wrong password, a missing right) will not change.
func (w *Worker) checkBackend(ctx context.Context) error {
	if w.cfg.Backend == nil {
		return nil
	}
	_, err := w.cfg.Backend.Get(ctx, "umbel-worker-start")
	switch {
	case err == nil, errors.Is(err, backend.ErrUnsupported), ctx.Err() != nil:
		return nil
	case errors.Is(err, backend.ErrConnection):
		w.log.Warn("cannot reach the result backend; results wait for it", "error", err)
		return nil
	}
	return fmt.Errorf("result backend: %w; check user and password of its URL", err)
}
