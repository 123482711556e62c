package monitor

import (
	"context"

	"github.com/umbel-go/umbel/monitor/metrics"
	"github.com/umbel-go/umbel/protocol"
)

// figures measures what metrics show besides events, over all brokers. Queues
// are those of the last look: a scrape must not wait for a broker.
func (m *Monitor) figures() metrics.Figures {
	out := metrics.Figures{DBBytes: m.store.Size()}
	out.Readers, out.Evicted = m.hub.figures()
	for _, s := range m.sources {
		out.Gap += s.link.lost()
		workers, err := m.Workers(context.Background(), s.Name, false)
		if err != nil {
			continue // only an unknown source gives one
		}
		for _, w := range workers {
			out.Workers = append(out.Workers, w.figures())
		}
		consumers := s.consumers()
		for _, q := range s.depths.lastInfo() {
			f := metrics.QueueFigures{Name: q.Name, Messages: q.Messages, Unacked: q.Unacked, Consumers: q.Consumers}
			if f.Consumers < 0 {
				f.Consumers = len(consumers[q.Name])
			}
			if !q.Oldest.IsZero() {
				f.OldestAge = m.cfg.Now().Sub(q.Oldest)
			}
			out.Queues = append(out.Queues, f)
		}
	}
	return out
}

func (w *Worker) figures() metrics.WorkerFigures {
	return metrics.WorkerFigures{
		Hostname: w.Hostname, Online: w.Online, Stalled: w.Online && !w.Alive, Skew: w.Skew,
		Active: protocol.Float(w.Active), HasActive: w.Active != "",
		Concurrency: float64(w.Concurrency()), Queues: w.Queues(),
	}
}
