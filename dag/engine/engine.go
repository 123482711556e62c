// Package engine moves workflow runs: it publishes node attempts as ordinary
// Celery tasks, watches for their results and releases what comes next.
//
// All that counts is in the store. The engine may be killed at any moment; one
// that is started on the same store goes on where the last commit was. Four
// goroutines share the work: one commits (reports in, decisions out), one empties
// the outbox, one listens to the result backend and one asks it about what the
// listener may have missed.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// Sender publishes tasks. It returns when the broker has all of them; after an
// error any of them may have been sent, and all are sent again.
type Sender interface {
	Publish(ctx context.Context, sigs ...protocol.Signature) error
}

// Revoker asks all workers to revoke and terminate tasks.
type Revoker interface {
	Revoke(ctx context.Context, taskIDs ...string) error
}

// Config is what an engine needs. Store, Sender and Backend are required.
type Config struct {
	Store   *store.Store
	Sender  Sender
	Backend backend.Backend
	// Revoker may be nil: a cancelled run then waits for what is out.
	Revoker Revoker
	// Fleet may be nil: nothing is then declared lost.
	Fleet dag.Fleet
	// LostAfter is how long a worker may be silent before its tasks are declared
	// lost; 0 means dag.LostAfter.
	LostAfter time.Duration
	// Now and NewUUID are the clock and the source of run ids; nil means the real
	// ones.
	Now     func() time.Time
	NewUUID func() string
}

// Engine runs workflows. Its methods are safe for concurrent use.
type Engine struct {
	cfg   Config
	store *store.Store

	wake    chan struct{}        // the committer has something to do
	post    chan struct{}        // the outbox has something to send
	seen    chan dag.Observation // reports for the committer
	ask     chan string          // task ids to be polled at once
	flight  flight
	changes listeners

	watchMu sync.Mutex
	watch   backend.Watch // nil while there is none
}

// New returns an engine that does nothing yet; see Run.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Sender == nil || cfg.Backend == nil {
		return nil, errors.New("workflow engine: Store, Sender and Backend are required")
	}
	if cfg.LostAfter == 0 {
		cfg.LostAfter = dag.LostAfter
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewUUID == nil {
		cfg.NewUUID = uuid.NewString
	}
	return &Engine{
		cfg: cfg, store: cfg.Store,
		wake: make(chan struct{}, 1), post: make(chan struct{}, 1),
		seen: make(chan dag.Observation, 1024), ask: make(chan string, 1024),
		flight: flight{ids: map[string]struct{}{}},
	}, nil
}

// Run moves runs until ctx ends and returns its cause. It may be called again
// afterwards, never twice at once.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.resume(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, loop := range []func(context.Context){e.commitLoop, e.outboxLoop, e.watchLoop, e.pollLoop} {
		wg.Go(func() { loop(ctx) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// resume learns from the store what is out.
func (e *Engine) resume(ctx context.Context) error {
	pending, err := e.store.InFlight(ctx)
	if err != nil {
		return err
	}
	for _, p := range pending {
		e.flight.add(p.TaskID)
	}
	if len(pending) > 0 {
		slog.InfoContext(ctx, "workflow engine resumes", "tasks_in_flight", len(pending))
	}
	return nil
}

// Fleet is what the engine knows about workers; nil when it knows nothing.
func (e *Engine) Fleet() dag.Fleet { return e.cfg.Fleet }

// Now is the engine's clock.
func (e *Engine) Now() time.Time { return e.cfg.Now() }

// nudge sets a signal without waiting; one that is set already is enough.
func nudge(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// flight is the set of task ids that are out: a filter for hints, rebuilt from
// the store at start.
type flight struct {
	mu  sync.RWMutex
	ids map[string]struct{}
}

func (f *flight) add(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.ids[id] = struct{}{}
	}
}

func (f *flight) remove(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.ids, id)
	}
}

func (f *flight) has(id string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ok := f.ids[id]
	return ok
}

func (f *flight) list() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	out := make([]string, 0, len(f.ids))
	for id := range f.ids {
		out = append(out, id)
	}
	return out
}

// listeners are told about runs that changed.
type listeners struct {
	mu  sync.Mutex
	fns []func(runs []int64)
}

// OnChange calls fn with the ids of runs after every commit that changed some. fn
// must not block. Call it before Run.
func (e *Engine) OnChange(fn func(runs []int64)) {
	e.changes.mu.Lock()
	defer e.changes.mu.Unlock()
	e.changes.fns = append(e.changes.fns, fn)
}

func (l *listeners) tell(runs []int64) {
	l.mu.Lock()
	fns := l.fns
	l.mu.Unlock()
	if len(runs) == 0 {
		return
	}
	for _, fn := range fns {
		fn(runs)
	}
}
