package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// queuesEvery is the pace at which queues are looked at unasked.
	queuesEvery = 5 * time.Second
	// queuesFresh is how old an answer may be.
	queuesFresh = time.Second
	// queuesTimeout bounds one look.
	queuesTimeout = 2 * time.Second
)

// Queue is what is known of one task queue.
type Queue struct {
	Name     string
	Messages int // Ready + Unacked
	Ready    int
	Unacked  int
	// Consumers is what the broker says or, where it cannot, how many online
	// workers consume from it.
	Consumers int
	Delayed   int // parked by Umbel, in none of the above
	// IdleSince is since when it has been empty, as far as we looked; zero
	// while it is not.
	IdleSince time.Time
	// OldestAge is the age of the oldest waiting message, 0 when unknown.
	OldestAge time.Duration
	Workers   []string // online workers that consume from it, sorted
}

// depths keeps the last look at the queues. It is safe for concurrent use.
type depths struct {
	broker broker.Broker
	now    func() time.Time

	looking sync.Mutex // one look at a time
	mu      sync.Mutex
	at      time.Time
	names   []string
	info    []broker.QueueInfo
	idle    map[string]time.Time
}

// Queues returns the figures of all queues that workers said they consume from
// (Config.Queues where none did), sorted by name. They are at most a second old.
func (m *Monitor) Queues(ctx context.Context, broker string) ([]Queue, error) {
	s, err := m.source(broker)
	if err != nil {
		return nil, err
	}
	consumers := s.consumers()
	info, idle, err := s.depths.look(ctx, s.queueNames(), queuesFresh)
	if err != nil {
		return nil, err
	}
	now := m.cfg.Now()
	out := make([]Queue, len(info))
	for i, q := range info {
		out[i] = Queue{
			Name: q.Name, Messages: q.Messages, Ready: q.Ready, Unacked: q.Unacked, Consumers: q.Consumers,
			Delayed: q.Delayed, IdleSince: idle[q.Name], Workers: consumers[q.Name],
		}
		if q.Consumers < 0 {
			out[i].Consumers = len(consumers[q.Name])
		}
		if !q.Oldest.IsZero() {
			out[i].OldestAge = max(0, now.Sub(q.Oldest))
		}
	}
	return out, nil
}

// look returns figures no older than fresh.
func (d *depths) look(ctx context.Context, names []string, fresh time.Duration) ([]broker.QueueInfo, map[string]time.Time, error) {
	d.looking.Lock()
	defer d.looking.Unlock()
	d.mu.Lock()
	at, info, idle := d.at, d.info, d.idle
	same := slices.Equal(d.names, names)
	d.mu.Unlock()
	if same && d.now().Sub(at) < fresh {
		return info, idle, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queuesTimeout)
	defer cancel()
	info, err := d.broker.Queues(ctx, names...)
	if err != nil {
		return nil, nil, fmt.Errorf("look at queues: %w", err)
	}
	now := d.now()
	next := make(map[string]time.Time, len(info))
	for _, q := range info {
		if q.Messages == 0 {
			next[q.Name] = now
			if since, ok := idle[q.Name]; ok {
				next[q.Name] = since
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.names, d.info, d.idle = now, names, info, next
	return info, next, nil
}

// lastInfo are the figures of the last look.
func (d *depths) lastInfo() []broker.QueueInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info
}

// last is the number of messages in a queue by the last look.
func (d *depths) last(name string) (n int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.info {
		if q.Name == name {
			return q.Messages, true
		}
	}
	return 0, false
}

// watchQueues looks at the queues now and then, for metrics and schedulers.
func (s *source) watchQueues(ctx context.Context) {
	tick := time.NewTicker(queuesEvery)
	defer tick.Stop()
	failing := false
	for {
		_, _, err := s.depths.look(ctx, s.queueNames(), queuesFresh)
		if err != nil && !failing && ctx.Err() == nil && !errors.Is(err, broker.ErrConnection) {
			slog.WarnContext(ctx, "queues cannot be counted", "broker", s.Name, "error", err)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// queueNames are the queues that any worker said it consumes from, sorted: also
// those of dead workers, where work may be waiting.
func (s *source) queueNames() []string {
	seen := map[string]bool{}
	for _, answers := range s.inspector.all() {
		for _, name := range activeQueues(answers) {
			seen[name] = true
		}
	}
	if len(seen) == 0 {
		for _, name := range s.cfg.Queues {
			seen[name] = true
		}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// consumers are the online workers of each queue, sorted.
func (s *source) consumers() map[string][]string {
	now := protocol.Seconds(s.cfg.Now())
	out := map[string][]string{}
	for hostname, answers := range s.inspector.all() {
		if !s.online(hostname, now) {
			continue
		}
		for _, name := range activeQueues(answers) {
			out[name] = append(out[name], hostname)
		}
	}
	for _, workers := range out {
		sort.Strings(workers)
	}
	return out
}

// activeQueues are the names in a worker's answer to active_queues.
func activeQueues(i Inspect) []string {
	items, err := protocol.SplitArray(i.Answers["active_queues"])
	if err != nil {
		return nil // never answered, or not a list
	}
	names := make([]string, 0, len(items))
	for _, item := range items {
		if o, err := protocol.DecodeObject(item); err == nil && o.String("name") != "" {
			names = append(names, o.String("name"))
		}
	}
	return names
}
