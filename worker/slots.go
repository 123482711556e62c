package worker

import (
	"context"
	"sync"
	"time"
)

// slots bounds how many tasks run at once. One goroutine waits and takes, the
// tasks release.
type slots struct {
	mu    sync.Mutex
	size  int
	used  int
	freed chan struct{} // one token: something changed
}

func newSlots(size int) *slots { return &slots{size: size, freed: make(chan struct{}, 1)} }

// wait returns how many slots are free once there is one; false when ctx ended.
func (s *slots) wait(ctx context.Context) (int, bool) {
	for {
		s.mu.Lock()
		free := s.size - s.used
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
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// drain waits until every slot is free and reports whether that came true
// within the limit; 0 means no limit.
func (s *slots) drain(limit time.Duration) bool {
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
		}
	}
}
