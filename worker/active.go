package worker

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// run is one execution under way.
type run struct {
	task   *Task
	cancel context.CancelCauseFunc
	since  time.Time
	// ended holds the first cause that decides the outcome whatever the handler
	// does. The end of the context alone, at a soft limit, decides nothing.
	ended chan error
	// over is set when the handler's goroutine has returned; slots.mu guards it.
	over bool
}

// end decides the outcome from outside and cancels the handler.
func (r *run) end(cause error) {
	select {
	case r.ended <- cause:
	default:
	}
	r.cancel(cause)
}

// activeSet holds the executions under way. It is safe for concurrent use.
type activeSet struct {
	mu   sync.Mutex
	runs map[*run]struct{}
}

func newActiveSet() *activeSet { return &activeSet{runs: map[*run]struct{}{}} }

func (a *activeSet) add(t *Task, cancel context.CancelCauseFunc, since time.Time) *run {
	r := &run{task: t, cancel: cancel, since: since, ended: make(chan error, 1)}
	a.mu.Lock()
	a.runs[r] = struct{}{}
	a.mu.Unlock()
	return r
}

func (a *activeSet) remove(r *run) {
	a.mu.Lock()
	delete(a.runs, r)
	a.mu.Unlock()
}

func (a *activeSet) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.runs)
}

// list is a snapshot, oldest first.
func (a *activeSet) list() []*run {
	a.mu.Lock()
	out := make([]*run, 0, len(a.runs))
	for r := range a.runs {
		out = append(out, r)
	}
	a.mu.Unlock()
	sort.Slice(out, func(i, j int) bool { return out[i].since.Before(out[j].since) })
	return out
}

// terminate ends the executions of a task id and reports whether there were
// any.
func (a *activeSet) terminate(id string) bool {
	found := false
	for _, r := range a.list() {
		if r.task.ID == id {
			r.end(ErrRevoked)
			found = true
		}
	}
	return found
}

// count notes that a task was started.
func (w *Worker) count(name string) {
	w.accepted.Add(1)
	n, ok := w.totals.Load(name)
	if !ok {
		n, _ = w.totals.LoadOrStore(name, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}
