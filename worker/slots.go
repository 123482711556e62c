package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// slots bounds how many tasks run at once. One goroutine waits and takes, the
// tasks release.
type slots struct {
	log  *slog.Logger
	mu   sync.Mutex // guards used, adrift and every run's over
	size int
	used int
	// adrift are the abandoned runs whose goroutines have not returned. Once
	// there are as many as slots nothing more is taken: each may hold on to
	// memory and connections.
	adrift map[*run]bool
	freed  chan struct{} // one token: something changed
}

func newSlots(size int, log *slog.Logger) *slots {
	return &slots{log: log, size: size, adrift: map[*run]bool{}, freed: make(chan struct{}, 1)}
}

// abandon notes that a run's slot is given up while its goroutine goes on.
func (s *slots) abandon(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.over {
		return // in the meantime
	}
	s.adrift[r] = true
	if len(s.adrift) >= s.size {
		s.log.Error("the worker takes no more tasks: as many abandoned tasks as it has slots ignore their context",
			"task", r.task.Name, "abandoned", len(s.adrift))
	}
}

// returned notes that a run's goroutine is over.
func (s *slots) returned(r *run) {
	s.mu.Lock()
	r.over = true
	delete(s.adrift, r)
	s.mu.Unlock()
	s.changed()
}

// wait returns how many slots are free once there is one; false when ctx ended.
func (s *slots) wait(ctx context.Context) (int, bool) {
	for {
		s.mu.Lock()
		free := s.size - s.used
		if len(s.adrift) >= s.size {
			free = 0
		}
		s.mu.Unlock()
		if ctx.Err() != nil {
			return 0, false
		}
		if free > 0 {
			return free, true
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
		}
	}
}

func (s *slots) take() {
	s.mu.Lock()
	s.used++
	s.mu.Unlock()
}

func (s *slots) release() {
	s.mu.Lock()
	s.used--
	s.mu.Unlock()
	s.changed()
}

func (s *slots) changed() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// drain waits until every slot is free and reports whether that came true
// within the limit (0: none) and before enough was closed.
func (s *slots) drain(limit time.Duration, enough <-chan struct{}) bool {
	var deadline <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		deadline = t.C
	}
	for {
		s.mu.Lock()
		used := s.used
		s.mu.Unlock()
		if used == 0 {
			return true
		}
		select {
		case <-s.freed:
		case <-deadline:
			return false
		case <-enough:
			return false
		}
	}
}
