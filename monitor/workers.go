package monitor

import (
	"context"
	"slices"
	"sort"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// offlineAfter is how long a worker may be silent before it counts as offline.
const offlineAfter = 30.0 // seconds

// Worker is a snapshot of one worker: what its events told, how often, and its
// last answers to inspect. It is a copy and safe to keep.
type Worker struct {
	state.Worker
	Broker string // name of the source
	// Counters count its events by type, first seen first.
	Counters []Counter
	Inspect  Inspect
	// Alive is Celery's rule (twice the heartbeat interval, 4 s by default).
	Alive bool
	// Online is ours: no worker-offline, and a sign of life within 30 s. Online
	// but not Alive is what pages call stale.
	Online bool
	// Known is false for a worker that answered inspect but sent no event.
	Known bool
}

// Counter is a number of events of one type.
type Counter struct {
	Type string
	N    int64
}

// Status is "online" or "offline".
func (w *Worker) Status() string {
	if w.Online {
		return "online"
	}
	return "offline"
}

// Count is the number of events of a type.
func (w *Worker) Count(eventType string) int64 {
	for _, c := range w.Counters {
		if c.Type == eventType {
			return c.N
		}
	}
	return 0
}

// Queues are the names of the queues that it said it consumes from.
func (w *Worker) Queues() []string { return activeQueues(w.Inspect) }

// Workers returns the workers of a broker ("" is the first), first seen first,
// then those that answered inspect but sent no event, by name. Workers that have
// been offline for longer than Config.PurgeOffline are left out unless all is
// set.
func (m *Monitor) Workers(ctx context.Context, broker string, all bool) ([]Worker, error) {
	s, err := m.source(broker)
	if err != nil {
		return nil, err
	}
	now := protocol.Seconds(m.cfg.Now())
	answers := s.inspector.all()
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Worker
	for _, w := range s.state.Workers() {
		snapshot := s.snapshot(w, answers[w.Hostname], now)
		delete(answers, w.Hostname)
		if all || !m.purged(snapshot, now) {
			out = append(out, snapshot)
		}
	}
	rest := len(out)
	for hostname, a := range answers {
		out = append(out, s.snapshot(&state.Worker{Hostname: hostname, Freq: "60"}, a, now))
	}
	sort.Slice(out[rest:], func(i, j int) bool { return out[rest+i].Hostname < out[rest+j].Hostname })
	return out, nil
}

// Worker returns one worker, purged ones too; ok is false when neither events
// nor inspect told of it.
func (m *Monitor) Worker(ctx context.Context, broker, hostname string) (w Worker, ok bool, err error) {
	s, err := m.source(broker)
	if err != nil {
		return Worker{}, false, err
	}
	now := protocol.Seconds(m.cfg.Now())
	answers, answered := s.inspector.answers(hostname)
	s.mu.RLock()
	defer s.mu.RUnlock()
	known := s.state.Worker(hostname)
	if known == nil {
		if !answered {
			return Worker{}, false, nil
		}
		known = &state.Worker{Hostname: hostname, Freq: "60"}
	}
	return s.snapshot(known, answers, now), true, nil
}

// snapshot copies a worker; the caller holds mu.
func (s *source) snapshot(w *state.Worker, answers Inspect, now float64) Worker {
	return Worker{
		Worker: *w.Clone(), Broker: s.Name, Inspect: answers,
		Counters: slices.Clone(s.tallies.senders[w.Hostname]),
		Alive:    w.Alive(now), Online: isOnline(w, now), Known: s.state.Worker(w.Hostname) != nil,
	}
}

// isOnline is our rule, which does not flap.
func isOnline(w *state.Worker, now float64) bool {
	return w.Offline == 0 && w.LastSeen() > 0 && now-w.LastSeen() < offlineAfter
}

func (s *source) online(hostname string, now float64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w := s.state.Worker(hostname)
	return w != nil && isOnline(w, now)
}

// purged reports whether lists leave the worker out.
func (m *Monitor) purged(w Worker, now float64) bool {
	after := m.cfg.PurgeOffline
	return after >= 0 && !w.Online && now-w.LastSeen() >= after.Seconds()
}

// ForgetWorker drops a worker from lists, with its counters; its tasks stay. It
// comes back with its next event.
func (m *Monitor) ForgetWorker(ctx context.Context, broker, hostname string) error {
	s, err := m.source(broker)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.state.DropWorker(hostname)
	s.tallies.forget(hostname)
	s.mu.Unlock()
	s.inspector.forget(hostname)
	return s.store.DropWorker(ctx, s.id, hostname)
}
