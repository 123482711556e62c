package redis

import (
	"errors"
	"time"
)

// fenceTimeout is how long a fence may take before the connection counts as
// hung: one that a proxy or a firewall dropped without a word still takes what
// is sent.
const fenceTimeout = 5 * time.Second

var errHung = errors.New("no answer on the connection for pushed results")

// fence tells the reader that all pushes sent before it asked have been received:
// a PING through the connection that they come on. It is guarded by hub.mu.
type fence struct {
	sent   bool
	passed chan bool // false when the connection was lost
}

const fencePayload = "fence"

// passFence waits until every push that the server has sent by now is handed on.
func (h *hub) passFence() bool {
	f := &fence{passed: make(chan bool, 1)}
	h.mu.Lock()
	h.fence = f
	h.mu.Unlock()
	signal(h.wake)
	timeout := time.NewTimer(fenceTimeout)
	defer timeout.Stop()
	select {
	case passed := <-f.passed:
		return passed
	case <-timeout.C:
		h.mu.Lock()
		if h.fence == f {
			h.fence = nil
			signal(h.hung)
		}
		h.mu.Unlock()
	case <-h.b.closing.Done():
	}
	return false
}

// endFence answers the reader, if it waits. The caller holds mu.
func (h *hub) endFence(passed bool) {
	if h.fence != nil {
		h.fence.passed <- passed
		h.fence = nil
	}
}
