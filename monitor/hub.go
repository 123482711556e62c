package monitor

import (
	"sync"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// changeBuffer is how far a reader of Changes may fall behind.
const changeBuffer = 1024

// Change is one event that was applied, for live views.
type Change struct {
	Broker string
	Event  *protocol.Event // never changed after it was sent
	Worker string          // node name, "" for events of clients
	TaskID string          // "" for worker events
	Name   string          // task name as far as known
	State  string          // of the task after the event
	Before string          // and before, "" for a new one
	Joined bool            // a worker's first event, or worker-online
}

// hub hands changes to those who listen. It is safe for concurrent use.
type hub struct {
	mu      sync.Mutex
	readers map[chan Change]struct{}
	evicted int
}

// Changes returns a stream of changes and a function that ends it. A reader that
// falls 1024 changes behind is dropped: its channel is closed, and it should
// read the present state and subscribe again.
func (m *Monitor) Changes() (<-chan Change, func()) {
	ch := make(chan Change, changeBuffer)
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	if m.hub.readers == nil {
		m.hub.readers = map[chan Change]struct{}{}
	}
	m.hub.readers[ch] = struct{}{}
	return ch, func() { m.hub.drop(ch) }
}

func (h *hub) drop(ch chan Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.readers[ch]; ok {
		delete(h.readers, ch)
		close(ch)
	}
}

// close ends every reader.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.readers {
		delete(h.readers, ch)
		close(ch)
	}
}

// publish hands over changes without waiting for anybody.
func (h *hub) publish(changes []Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.readers {
		for _, c := range changes {
			select {
			case ch <- c:
				continue
			default:
			}
			delete(h.readers, ch)
			close(ch)
			h.evicted++
			break
		}
	}
}

// listening reports whether anybody listens, so that nobody copies for nothing.
func (h *hub) listening() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers) > 0
}

// figures are the number of readers, and of those dropped so far.
func (h *hub) figures() (readers, evicted int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers), h.evicted
}

func changeOf(broker string, c state.Change) Change {
	out := Change{Broker: broker, Event: c.Event, Before: c.Before, Joined: c.Joined}
	if c.Worker != nil {
		out.Worker = c.Worker.Hostname
	}
	if c.Task != nil {
		out.TaskID, out.Name, out.State = c.Task.UUID, c.Task.Name, c.Task.State
	}
	return out
}
