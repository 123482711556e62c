package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/monitor/metrics"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/monitor/store"
	"github.com/umbel-go/umbel/protocol"
)

// The monitor's event queue lives as real Celery's does (celery.events.receiver
// with event_queue_ttl and event_queue_expires).
const (
	eventTTL     = 5 * time.Second
	eventExpires = 60 * time.Second
)

// refollow is the pause after an error that is not about the connection.
const refollow = 5 * time.Second

// source follows the events of one broker. Events are applied and commits taken
// by one goroutine, run, under mu; others read under mu.
type source struct {
	Source
	id      int64 // in the store
	cfg     *Config
	store   *store.Store
	hub     *hub
	metrics *metrics.Metrics

	frames    *frames
	link      link
	inspector *inspector
	depths    *depths
	joined    chan string   // workers to inspect
	connected chan struct{} // a new connection: workers should announce themselves
	hurry     chan struct{} // somebody waits for a commit

	complaints complaints // of the goroutine that applies frames

	mu        sync.RWMutex
	state     *state.State
	tallies   *tallies
	pending   *pending
	succeeded rate
	failed    rate
}

func newSource(ctx context.Context, m *Monitor, src Source) (*source, error) {
	id, err := m.store.Broker(ctx, src.Name)
	if err != nil {
		return nil, err
	}
	s := &source{
		Source: src, id: id, cfg: &m.cfg, store: m.store, hub: &m.hub, metrics: m.metrics,
		frames: newFrames(maxFrameBytes), joined: make(chan string, 1024),
		connected: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		state: state.New(), tallies: newTallies(), pending: newPending(),
	}
	info := src.Broker.Info()
	s.link = link{now: m.cfg.Now, status: BrokerStatus{Name: src.Name, Transport: info.Transport, URL: info.URL}}
	s.inspector = newInspector(src.Control, m.cfg.InspectTimeout, m.cfg.Now)
	s.depths = &depths{broker: src.Broker, now: m.cfg.Now}
	return s, s.restore(ctx)
}

// restore brings back what an earlier process knew of workers and counters.
func (s *source) restore(ctx context.Context) error {
	workers, err := s.store.Workers(ctx, s.id)
	if err != nil {
		return err
	}
	for _, w := range workers {
		s.state.PutWorker(w)
	}
	counts, err := s.store.EventCounts(ctx, s.id)
	if err != nil {
		return err
	}
	s.tallies.restore(counts)
	for _, c := range counts {
		s.metrics.Restore(c.Hostname, c.Type, c.Task, c.N)
	}
	return nil
}

// start runs the source's goroutines until ctx ends.
func (s *source) start(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { s.follow(ctx) })
	wg.Go(func() { s.run(ctx) })
	wg.Go(func() { s.watchQueues(ctx) })
	if s.Control != nil {
		wg.Go(func() { s.keepInspecting(ctx) })
		wg.Go(func() { s.wakeWorkers(ctx) })
	}
}

// follow reads the event exchange. It does nothing but queue what arrives.
func (s *source) follow(ctx context.Context) {
	opts := broker.SubscribeOptions{
		Exchange: protocol.EventExchange, Kind: broker.Topic, RoutingKey: "#", DurableExchange: true,
		Queue: protocol.EventExchange + "." + uuid.NewString(), TTL: eventTTL, Expires: eventExpires,
	}
	for ctx.Err() == nil {
		err := broker.Follow(ctx, s.Broker, opts, s.onLink, s.receive)
		if ctx.Err() != nil {
			return
		}
		s.link.down(err)
		slog.ErrorContext(ctx, "cannot follow events; check that the broker's user may use the exchange celeryev",
			"broker", s.Name, "error", err, "again_in", refollow)
		pause.For(ctx, refollow)
	}
}

func (s *source) onLink(err error) {
	if err != nil {
		s.link.down(err)
		s.metrics.Connected(s.Name, false)
		return
	}
	s.link.up()
	s.metrics.Connected(s.Name, true)
	select {
	case s.connected <- struct{}{}:
	default:
	}
}

func (s *source) receive(m *protocol.Message) {
	if s.frames.push(frame{m, protocol.Seconds(s.cfg.Now())}) {
		slog.Warn("more events arrive than can be stored; some are dropped", "broker", s.Name)
	}
}

// snapshotTask is the newest state of a task, which may not be stored yet.
func (s *source) snapshotTask(id string) *state.Task {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.state.Task(id); t != nil {
		return t.Clone()
	}
	return nil
}

// source returns the source of that name, the first one for "".
func (m *Monitor) source(name string) (*source, error) {
	for _, s := range m.sources {
		if name == "" || s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: no broker is named %q", store.ErrBadQuery, name)
}
