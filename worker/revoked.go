package worker

import (
	"slices"
	"sync"
	"time"
)

// Bounds of the set of revoked ids (celery CELERY_WORKER_REVOKES_MAX and
// CELERY_WORKER_REVOKE_EXPIRES).
const (
	revokesMax    = 50_000
	revokeExpires = 3 * time.Hour
)

// revokedSet remembers revoked task ids for a while. It is safe for concurrent
// use.
type revokedSet struct {
	mu    sync.Mutex
	at    map[string]time.Time
	order []string // oldest first
}

func newRevokedSet() *revokedSet { return &revokedSet{at: map[string]time.Time{}} }

func (s *revokedSet) add(ids ...string) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if _, known := s.at[id]; known { // it counts as new again
			s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
		}
		s.order = append(s.order, id)
		s.at[id] = now
	}
	for len(s.order) > 0 && (len(s.order) > revokesMax || now.Sub(s.at[s.order[0]]) > revokeExpires) {
		delete(s.at, s.order[0])
		s.order = s.order[1:]
	}
}

func (s *revokedSet) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.at[id]
	return ok && time.Since(at) <= revokeExpires
}

// list is the ids, oldest first.
func (s *revokedSet) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for _, id := range s.order {
		if time.Since(s.at[id]) <= revokeExpires {
			out = append(out, id)
		}
	}
	return out
}
