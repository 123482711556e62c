package monitor

import (
	"sync"

	"github.com/umbel-go/umbel/protocol"
)

// maxFrameBytes is how much may wait between the broker's reader and the owner
// of the state, for each source.
const maxFrameBytes = 256 << 20

// frameOverhead is what a waiting message takes besides its body.
const frameOverhead = 512

// frame is a message of the event exchange as it arrived.
type frame struct {
	message *protocol.Message
	at      float64 // Unix seconds of arrival
}

// frames is a queue bounded by bytes. Its writer never waits. The zero value
// needs a limit and ready.
type frames struct {
	limit int
	ready chan struct{} // has room for one: something waits

	mu      sync.Mutex
	waiting []frame
	bytes   int
	dropped int // since the last pop
}

func newFrames(limit int) *frames {
	return &frames{limit: limit, ready: make(chan struct{}, 1)}
}

// push adds a frame, or drops it when the queue is full and reports whether it
// is the first one dropped since the last pop.
func (q *frames) push(f frame) (overflowed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := len(f.message.Body) + frameOverhead
	if q.bytes+size > q.limit {
		q.dropped++
		return q.dropped == 1
	}
	q.waiting = append(q.waiting, f)
	q.bytes += size
	q.signal()
	return false
}

func (q *frames) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// pop takes at most n frames, and the number dropped since the last pop.
func (q *frames) pop(n int) (out []frame, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	out = q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	for _, f := range out {
		q.bytes -= len(f.message.Body) + frameOverhead
	}
	if len(q.waiting) > 0 {
		q.signal()
	} else {
		q.waiting = nil
	}
	dropped, q.dropped = q.dropped, 0
	return out, dropped
}
