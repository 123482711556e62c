package monitor

import (
	"context"
	"time"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// Stats are the totals of a broker.
type Stats struct {
	// Tasks are counted once per task id, by the state they are in.
	Active, Received, Failed, Succeeded, Retried int
	// Online and Offline count workers by Worker.Online, purged ones left out.
	Online, Offline int
	// Queues holds the messages of each queue; nil when the broker cannot be
	// asked.
	Queues map[string]int
	// SucceededPerMinute and FailedPerMinute count tasks (not events) that
	// ended within the last 60 s.
	SucceededPerMinute, FailedPerMinute int
	Uptime                              time.Duration
}

// Processed is the sum of the five states, as the dashboard shows it.
func (s Stats) Processed() int {
	return s.Active + s.Received + s.Failed + s.Succeeded + s.Retried
}

// Stats returns the totals of a broker ("" is the first).
func (m *Monitor) Stats(ctx context.Context, broker string) (Stats, error) {
	s, err := m.source(broker)
	if err != nil {
		return Stats{}, err
	}
	s.sync(ctx)
	states := s.store.States(s.id)
	out := Stats{
		Active: states[state.Started], Received: states[state.Received], Failed: states[state.Failure],
		Succeeded: states[state.Success], Retried: states[state.Retry],
		Uptime: m.cfg.Now().Sub(m.started),
	}
	workers, err := m.Workers(ctx, s.Name, false)
	if err != nil {
		return Stats{}, err
	}
	for _, w := range workers {
		if w.Online {
			out.Online++
		} else {
			out.Offline++
		}
	}
	if queues, err := m.Queues(ctx, s.Name); err == nil {
		out.Queues = make(map[string]int, len(queues))
		for _, q := range queues {
			out.Queues[q.Name] = q.Messages
		}
	}
	now := int64(protocol.Seconds(m.cfg.Now()))
	s.mu.RLock()
	defer s.mu.RUnlock()
	out.SucceededPerMinute, out.FailedPerMinute = s.succeeded.sum(now), s.failed.sum(now)
	return out, nil
}
