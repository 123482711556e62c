package redis

import (
	"sync"
	"time"
)

const (
	// paceGap is what kombu needs to restore one message: it watches the whole
	// unacked hash, and any write of ours in between makes it start over.
	paceGap = 2 * time.Millisecond
	// paceBurst is how long we may write without leaving such a gap.
	paceBurst = 40 * time.Millisecond
)

// pacer leaves gaps in a long run of writes to the unacked hash. The zero value
// is ready.
type pacer struct {
	mu    sync.Mutex
	since time.Time // the run's beginning
	last  time.Time // its latest write
}

// wait is called before each write; it returns at once but for once a burst.
func (p *pacer) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case now.Sub(p.last) >= paceGap:
		p.since = now
	case now.Sub(p.since) >= paceBurst:
		time.Sleep(paceGap)
		now = time.Now()
		p.since = now
	}
	p.last = now
}
