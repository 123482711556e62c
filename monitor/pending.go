package monitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/monitor/store"
)

// pending is what changed since the last commit, and who waits for the next. It
// is owned by the source.
type pending struct {
	tasks   map[string]struct{}
	workers map[string]struct{}
	// fresh are the tasks in memory that the store does not have.
	fresh map[string]struct{}
	// writing is what the commit under way holds.
	writing *taken
	// waiters are told when everything noted before they asked is stored.
	waiters []chan struct{}
	failing bool
}

// taken is what a commit took out of pending.
type taken struct {
	tasks   []string
	workers []string
	tallies []tallyKey
	waiters []chan struct{}
}

func newPending() *pending {
	return &pending{tasks: map[string]struct{}{}, workers: map[string]struct{}{}, fresh: map[string]struct{}{}}
}

func (p *pending) task(id string, created bool) {
	p.tasks[id] = struct{}{}
	if created {
		p.fresh[id] = struct{}{}
	}
}

func (p *pending) worker(hostname string) { p.workers[hostname] = struct{}{} }

// takeBatch copies what changed for a commit, or returns nil when nothing did.
func (s *source) takeBatch() *store.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending
	if p.writing != nil {
		return nil
	}
	took, batch := &taken{waiters: p.waiters}, &store.Batch{}
	for id := range p.tasks {
		if t := s.state.Task(id); t != nil {
			_, fresh := p.fresh[id]
			batch.Tasks = append(batch.Tasks, store.TaskWrite{Broker: s.id, Task: t.Clone(), New: fresh})
			took.tasks = append(took.tasks, id)
		}
	}
	for hostname := range p.workers {
		if w := s.state.Worker(hostname); w != nil {
			batch.Workers = append(batch.Workers, store.WorkerWrite{Broker: s.id, Worker: w.Clone()})
			took.workers = append(took.workers, hostname)
		}
	}
	for k := range s.tallies.dirty {
		batch.Events = append(batch.Events, store.EventCount{
			Broker: s.id, Hostname: k.hostname, Type: k.event, Task: k.task, N: s.tallies.kinds[k]})
		took.tallies = append(took.tallies, k)
	}
	clear(p.tasks)
	clear(p.workers)
	clear(s.tallies.dirty)
	p.waiters = nil
	if batch.Empty() {
		release(took.waiters)
		return nil
	}
	p.writing = took
	return batch
}

// committed settles the commit under way: what it stored leaves memory once it
// is finished; what it could not store is taken again with the next one. It
// reports whether somebody waits for another commit.
func (s *source) committed(ctx context.Context, err error) (hurry bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, took := s.pending, s.pending.writing
	p.writing = nil
	if err != nil {
		if !p.failing {
			slog.ErrorContext(ctx, "the monitor's database cannot be written; events are kept in memory until it can",
				"file", s.store.Path(), "error", err)
		}
		p.failing = true
		s.retake(took)
		return false
	}
	if p.failing {
		slog.InfoContext(ctx, "the monitor's database can be written again", "file", s.store.Path())
		p.failing = false
	}
	for _, id := range took.tasks {
		delete(p.fresh, id)
		if _, changed := p.tasks[id]; changed {
			continue
		}
		if t := s.state.Task(id); t != nil && (t.Ready() || s.state.TaskCount() > maxInMemory) {
			s.state.DropTask(id)
		}
	}
	release(took.waiters)
	return len(p.waiters) > 0
}

func (s *source) retake(took *taken) {
	p := s.pending
	for _, id := range took.tasks {
		p.tasks[id] = struct{}{}
	}
	for _, hostname := range took.workers {
		p.workers[hostname] = struct{}{}
	}
	for _, k := range took.tallies {
		s.tallies.dirty[k] = struct{}{}
	}
	p.waiters = append(took.waiters, p.waiters...)
}

func release(waiters []chan struct{}) {
	for _, w := range waiters {
		close(w)
	}
}

// syncWait is how long a reader waits for the store to hold what was applied
// before it answers from what is there.
const syncWait = 500 * time.Millisecond

// sync waits until everything applied before the call is stored.
func (s *source) sync(ctx context.Context) {
	s.mu.Lock()
	p := s.pending
	if p.failing || len(p.tasks) == 0 && p.writing == nil {
		s.mu.Unlock()
		return
	}
	done := make(chan struct{})
	p.waiters = append(p.waiters, done)
	s.mu.Unlock()
	select {
	case s.hurry <- struct{}{}:
	default:
	}
	t := time.NewTimer(syncWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}
