package engine

import (
	"context"
	"log/slog"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/dag/store"
)

// watchLoop listens to the result backend. It may miss results while the
// connection is down: each new watch begins with what is stored, and the poller
// asks for the rest.
func (e *Engine) watchLoop(ctx context.Context) {
	var pause broker.Backoff
	for ctx.Err() == nil {
		err := e.watchOnce(ctx, &pause)
		if ctx.Err() != nil {
			return
		}
		slog.WarnContext(ctx, "no live results for workflows, polling goes on", "error", err)
		if !pause.Wait(ctx) {
			return
		}
	}
}

func (e *Engine) watchOnce(ctx context.Context, pause *broker.Backoff) error {
	watch, err := e.cfg.Backend.Watch(ctx, e.flight.list()...)
	if err != nil {
		return err
	}
	e.setWatch(watch)
	defer watch.Close()
	defer e.setWatch(nil)
	// What was published between the list above and here.
	if err := watch.Add(ctx, e.flight.list()...); err != nil {
		return err
	}
	for {
		result, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		pause.Reset()
		if o, ok := observe(result, e.cfg.Now()); ok && e.flight.has(o.TaskID) {
			e.report(ctx, o)
		}
	}
}

func (e *Engine) setWatch(w backend.Watch) {
	e.watchMu.Lock()
	e.watch = w
	e.watchMu.Unlock()
}

func (e *Engine) currentWatch() backend.Watch {
	e.watchMu.Lock()
	defer e.watchMu.Unlock()
	return e.watch
}

// expect begins to listen for the results of tasks that are about to be sent.
func (e *Engine) expect(ctx context.Context, mails []store.Mail) {
	ids := make([]string, len(mails))
	for i, m := range mails {
		ids[i] = m.TaskID
	}
	e.flight.add(ids...)
	if w := e.currentWatch(); w != nil {
		if err := w.Add(ctx, ids...); err != nil {
			slog.DebugContext(ctx, "results of workflow tasks are polled only", "error", err)
		}
	}
}

// settled stops listening for tasks that have a verdict.
func (e *Engine) settled(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	e.flight.remove(ids...)
	if w := e.currentWatch(); w != nil {
		if err := w.Remove(ctx, ids...); err != nil {
			slog.DebugContext(ctx, "watch of ended workflow tasks stays", "error", err)
		}
	}
}
