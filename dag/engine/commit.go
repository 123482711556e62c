package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
)

// maxBatch is how many reports one commit takes.
const maxBatch = 1000

// idle is the longest time that a loop sleeps although nothing is due.
const idle = 15 * time.Second

// commitLoop brings reports into the store and advances runs. Reports that could
// not be committed are kept for the next try; if the process dies first, polling
// finds them again.
func (e *Engine) commitLoop(ctx context.Context) {
	var batch store.Batch
	var pause broker.Backoff
	for {
		e.gather(&batch)
		out, err := e.commit(ctx, batch)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			slog.ErrorContext(ctx, "workflow store does not take changes", "error", err)
			if !pause.Wait(ctx) {
				return
			}
			continue
		}
		pause.Reset()
		batch = store.Batch{}
		if out.More {
			continue
		}
		if !e.await(ctx, &batch) {
			return
		}
	}
}

// commit is one transaction and what follows from it in this process.
func (e *Engine) commit(ctx context.Context, batch store.Batch) (store.Outcome, error) {
	out, err := e.store.Commit(ctx, batch, e.cfg.Now())
	if err != nil {
		return out, err
	}
	e.settled(ctx, out.Ended)
	if out.Mail {
		nudge(e.post)
	}
	e.changes.tell(out.Runs)
	return out, nil
}

// gather takes what is waiting without waiting for more.
func (e *Engine) gather(batch *store.Batch) {
	for len(batch.Seen) < maxBatch {
		select {
		case o := <-e.seen:
			batch.Seen = append(batch.Seen, o)
		default:
			return
		}
	}
}

// await sleeps until there is something to commit; false means that ctx is over.
func (e *Engine) await(ctx context.Context, batch *store.Batch) bool {
	runs, _, _, err := e.store.Next(ctx)
	if err != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, "workflow store cannot be read", "error", err)
	}
	timer := time.NewTimer(e.until(runs))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-e.wake:
	case o := <-e.seen:
		batch.Seen = append(batch.Seen, o)
	}
	return true
}

// until is how long to sleep for something due at t.
func (e *Engine) until(t time.Time) time.Duration {
	if t.IsZero() {
		return idle
	}
	return min(max(t.Sub(e.cfg.Now()), 0), idle)
}

// report hands an observation to the committer.
func (e *Engine) report(ctx context.Context, o dag.Observation) {
	select {
	case e.seen <- o:
	case <-ctx.Done():
	}
}
