package web

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the live stream.
const (
	subscriberBytes = 256 << 10
	maxSubscribers  = 1024
	// pace is the shortest time between two writes to one client.
	pace = 250 * time.Millisecond
	// pingEvery keeps proxies from closing a silent stream.
	pingEvery = 15 * time.Second
)

// Update is one message to the browsers that follow a topic.
type Update struct {
	// Topic is "workers", "tasks", "task/<id>", "queues" ...
	Topic string
	// Key names what changed. An update that still waits for a client is
	// replaced by a later one with the same topic and key, so a flood costs a
	// slow client nothing.
	Key string
	// Data is one JSON value; empty means "{}", a hint to look again.
	Data []byte
}

// Hub passes updates on to the clients of the live stream. Publish never
// waits: a client that does not keep up is dropped, and its browser connects
// again. It is safe for concurrent use.
type Hub struct {
	mu     sync.RWMutex
	topics map[string]map[*subscriber]struct{}
	count  int
	closed chan struct{}
	once   sync.Once

	evicted atomic.Int64
	ping    time.Duration
}

// NewHub returns a hub without clients.
func NewHub() *Hub {
	return &Hub{topics: map[string]map[*subscriber]struct{}{}, closed: make(chan struct{}), ping: pingEvery}
}

// Publish hands the updates to whoever follows their topics.
func (h *Hub) Publish(updates ...Update) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, u := range updates {
		for s := range h.topics[u.Topic] {
			if s.offer(u) {
				h.evicted.Add(1)
			}
		}
	}
}

// Wanted reports whether anybody follows the topic, for publishers whose data
// is dear to make.
func (h *Hub) Wanted(topic string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.topics[topic]) > 0
}

// Clients is the number of open streams.
func (h *Hub) Clients() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.count
}

// Evicted is the number of clients dropped so far because they did not keep up.
func (h *Hub) Evicted() int64 { return h.evicted.Load() }

// Close ends all streams and refuses new ones. It may be called more than once.
func (h *Hub) Close() { h.once.Do(func() { close(h.closed) }) }

// join registers a client; false means that the hub is full or closed.
func (h *Hub) join(topics []string) (*subscriber, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
		return nil, false
	default:
	}
	if h.count >= maxSubscribers {
		return nil, false
	}
	s := &subscriber{topics: topics, wake: make(chan struct{}, 1), lost: make(chan struct{}), at: map[updateKey]int{}}
	for _, t := range topics {
		if h.topics[t] == nil {
			h.topics[t] = map[*subscriber]struct{}{}
		}
		h.topics[t][s] = struct{}{}
	}
	h.count++
	return s, true
}

func (h *Hub) leave(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range s.topics {
		delete(h.topics[t], s)
		if len(h.topics[t]) == 0 {
			delete(h.topics, t)
		}
	}
	h.count--
}

type updateKey struct{ topic, key string }

// subscriber holds what waits for one client.
type subscriber struct {
	topics []string
	wake   chan struct{} // something waits
	lost   chan struct{} // closed when the client was dropped

	mu      sync.Mutex
	waiting []Update
	at      map[updateKey]int // index in waiting
	bytes   int
	dropped bool
}

// offer adds an update and reports whether the client was dropped by it.
func (s *subscriber) offer(u Update) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped {
		return false
	}
	key := updateKey{u.Topic, u.Key}
	if i, ok := s.at[key]; ok {
		s.bytes += len(u.Data) - len(s.waiting[i].Data)
		s.waiting[i] = u
	} else {
		s.at[key] = len(s.waiting)
		s.waiting = append(s.waiting, u)
		s.bytes += len(u.Topic) + len(u.Key) + len(u.Data)
	}
	if s.bytes > subscriberBytes {
		s.dropped, s.waiting, s.at = true, nil, nil
		close(s.lost)
		return true
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return false
}

func (s *subscriber) take() []Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.waiting
	s.waiting, s.bytes = nil, 0
	if !s.dropped {
		clear(s.at)
	}
	return taken
}
