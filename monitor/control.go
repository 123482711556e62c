package monitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// Control sends remote control commands over one broker.
type Control interface {
	// Inspect asks nodes (all of them for an empty destination) and returns the
	// answers that came within the timeout; with a destination it returns as
	// soon as all of them answered. No answer is no error.
	Inspect(ctx context.Context, method string, args protocol.Object, destination []string, timeout time.Duration) (map[string]protocol.Raw, error)
	// Broadcast sends a command to nodes without waiting for an answer.
	Broadcast(ctx context.Context, method string, args protocol.Object, destination ...string) error
}

// enableEvery is how often workers are asked to send task events (Flower).
const enableEvery = 5 * time.Second

// Broadcast sends a control command to workers of a broker, to all of them
// without a destination, and does not wait for answers.
func (m *Monitor) Broadcast(ctx context.Context, broker, method string, args protocol.Object, destination ...string) error {
	s, err := m.source(broker)
	if err != nil {
		return err
	}
	if s.Control == nil {
		return ErrNoControl
	}
	return s.Control.Broadcast(ctx, method, args, destination...)
}

// Call sends a control command to one worker and returns its answer, nil when
// none came within a second (celery.app.control).
func (m *Monitor) Call(ctx context.Context, broker, method string, args protocol.Object, hostname string) (protocol.Raw, error) {
	s, err := m.source(broker)
	if err != nil {
		return nil, err
	}
	if s.Control == nil {
		return nil, ErrNoControl
	}
	answers, err := s.Control.Inspect(ctx, method, args, []string{hostname}, time.Second)
	return answers[hostname], err
}

// wakeWorkers asks workers to announce themselves after each connection, and to
// send task events at the start and every 5 s.
func (s *source) wakeWorkers(ctx context.Context) {
	tick := time.NewTicker(enableEvery)
	defer tick.Stop()
	failing := false
	send := func(method string) {
		err := s.Control.Broadcast(ctx, method, nil)
		if err != nil && !failing && ctx.Err() == nil {
			slog.WarnContext(ctx, "workers cannot be reached", "broker", s.Name, "command", method, "error", err)
		}
		failing = err != nil
	}
	for {
		select {
		case <-s.connected:
			send("heartbeat")
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !s.cfg.NoEnableEvents {
			send("enable_events")
		}
	}
}
