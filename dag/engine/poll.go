package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
)

// Limits of one round of polls.
const (
	pollBatch   = 500
	pollWorkers = 8
)

// pollLoop asks the result backend about every attempt that has been silent, and
// at once about those that a hint says are over.
func (e *Engine) pollLoop(ctx context.Context) {
	var pause broker.Backoff
	for {
		if err := e.pollDue(ctx); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "results of workflow tasks cannot be read", "error", err)
			if !pause.Wait(ctx) {
				return
			}
			continue
		}
		pause.Reset()
		if !e.awaitPoll(ctx) {
			return
		}
	}
}

func (e *Engine) awaitPoll(ctx context.Context) bool {
	_, _, polls, err := e.store.Next(ctx)
	if err != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, "workflow store cannot be read", "error", err)
	}
	// New attempts are first due a second after they were sent.
	timer := time.NewTimer(min(max(e.until(polls), 50*time.Millisecond), time.Second))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case id := <-e.ask:
		if err := e.poll(ctx, store.Pending{TaskID: id}); err != nil && ctx.Err() == nil {
			slog.DebugContext(ctx, "result is not readable yet", "task", id, "error", err)
		}
	}
	return ctx.Err() == nil
}

// pollDue asks about everything that is due. An error means that the backend
// cannot be read: then nothing is declared lost, and all stays due.
func (e *Engine) pollDue(ctx context.Context) error {
	due, err := e.store.DuePolls(ctx, e.cfg.Now(), pollBatch)
	if err != nil || len(due) == 0 {
		return err
	}
	jobs := make(chan store.Pending)
	errs := make(chan error, len(due))
	var wg sync.WaitGroup
	for range min(pollWorkers, len(due)) {
		wg.Go(func() {
			for p := range jobs {
				if err := e.poll(ctx, p); err != nil {
					errs <- err
				}
			}
		})
	}
	for _, p := range due {
		jobs <- p
	}
	close(jobs)
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return e.store.Polled(ctx, due, e.cfg.Now())
}

// poll asks about one attempt and reports what it finds.
func (e *Engine) poll(ctx context.Context, p store.Pending) error {
	result, err := e.cfg.Backend.Get(ctx, p.TaskID)
	if errors.Is(err, backend.ErrConnection) || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, backend.ErrUnsupported) { // results are messages, and none has come
		return nil
	}
	if err != nil { // what is stored cannot be read, now or later
		e.report(ctx, dag.Observation{
			TaskID: p.TaskID, Kind: dag.SeenFailure, At: e.cfg.Now(), ErrorType: "ResultUnreadable", Error: err.Error(),
		})
		return nil
	}
	if result.TaskID == "" {
		result.TaskID = p.TaskID
	}
	if o, ok := observe(result, e.cfg.Now()); ok {
		e.report(ctx, o)
		if o.Kind.Terminal() {
			return nil
		}
	}
	if e.lost(p) {
		e.report(ctx, dag.Observation{TaskID: p.TaskID, Kind: dag.SeenLost, At: e.cfg.Now(), Worker: p.Worker})
	}
	return nil
}

// lost reports whether the worker that runs the attempt has been gone too long.
func (e *Engine) lost(p store.Pending) bool {
	if e.cfg.Fleet == nil || p.State != dag.NodeRunning || p.Worker == "" {
		return false
	}
	node, known := e.cfg.Fleet.Node(p.Worker)
	return known && !node.Alive && e.cfg.Now().Sub(node.LastSeen) >= e.cfg.LostAfter
}
