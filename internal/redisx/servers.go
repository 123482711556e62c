package redisx

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// servers are the servers of one URL list and which of them is in use. Every
// connection opened through the Options of one ParseURL shares them, so that all
// go to the same server and leave it together. Safe for concurrent use.
type servers struct {
	mu   sync.Mutex
	list []Options
	// term counts how often a server was left; the one in use is list[term].
	term int
	// used is the term in which a connection was last opened.
	used int
	open map[*conn]struct{}
	// broken is when a connection was last found broken, in Unix nanoseconds.
	broken atomic.Int64
}

func newServers(list ...Options) *servers {
	return &servers{list: list, open: map[*conn]struct{}{}}
}

// current is the server in use and the term in which it is.
func (s *servers) current() (Options, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[s.term%len(s.list)], s.term
}

// leave gives up the server of a term: the next one of the list is in use from
// now on, and every connection to the former breaks, which wakes whoever waits
// on one. With a single server that makes everybody resolve its name again.
func (s *servers) leave(term int) {
	s.mu.Lock()
	if term != s.term {
		s.mu.Unlock()
		return
	}
	s.term++
	former := s.open
	s.open = map[*conn]struct{}{}
	s.mu.Unlock()
	for c := range former {
		c.abort()
	}
}

// admit notes an open connection, and is false when its server was left
// meanwhile. The first to reach another server of the list says so in the log:
// servers passed over on the way there were never in use.
func (s *servers) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.term != s.term {
		return false
	}
	s.open[c] = struct{}{}
	former, now := s.used%len(s.list), c.term%len(s.list)
	s.used = c.term
	if former != now {
		slog.Warn("Redis failed over", "from", s.list[former].Addr, "to", s.list[now].Addr)
	}
	return true
}

func (s *servers) forget(c *conn) {
	if c.Err() != nil {
		s.broken.Store(time.Now().UnixNano())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}
