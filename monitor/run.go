package monitor

import (
	"context"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/monitor/store"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// commitEvery is the pace of transactions.
	commitEvery = 150 * time.Millisecond
	// framesAtOnce is how many messages are applied between two glances at the
	// clock; a message may hold hundreds of events.
	framesAtOnce = 256
	// maxUnstored is how many changed tasks may wait for the disk before
	// events wait in the frame queue, which is bounded too.
	maxUnstored = 200_000
	// maxInMemory is how many stored but unfinished tasks stay in memory.
	maxInMemory = 100_000
	// trimSteps is how many steps of retention follow a commit at most.
	trimSteps = 8
)

// run owns the state: it applies events in order and commits what they changed.
func (s *source) run(ctx context.Context) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	var done chan error // of the commit under way, nil without one
	begin := func() {
		if batch := s.takeBatch(); batch != nil {
			done = make(chan error, 1)
			go func(done chan<- error) { done <- s.commit(ctx, batch) }(done) // awaited in every case
		}
	}
	for {
		ready := s.frames.ready
		if s.unstored() >= maxUnstored {
			ready = nil
		}
		select {
		case <-ready:
			frames, dropped := s.frames.pop(framesAtOnce)
			s.applyFrames(ctx, frames, dropped)
		case <-tick.C:
			begin()
		case <-s.hurry:
			begin()
		case err := <-done:
			done = nil
			if s.committed(ctx, err) {
				begin()
			}
		case <-ctx.Done():
			s.finish(ctx, done)
			return
		}
	}
}

// finish applies what has arrived and stores it.
func (s *source) finish(ctx context.Context, done <-chan error) {
	ctx = context.WithoutCancel(ctx)
	if done != nil {
		s.committed(ctx, <-done)
	}
	for {
		frames, dropped := s.frames.pop(framesAtOnce)
		if len(frames) == 0 {
			break
		}
		s.applyFrames(ctx, frames, dropped)
	}
	if batch := s.takeBatch(); batch != nil {
		s.committed(ctx, s.commit(ctx, batch))
	}
}

// arrival is an event with the time it arrived.
type arrival struct {
	event *protocol.Event
	at    float64
}

func (s *source) applyFrames(ctx context.Context, frames []frame, dropped int) {
	if dropped > 0 {
		s.link.overflow(dropped)
		s.metrics.Dropped("overflow", dropped)
	}
	events := make([]arrival, 0, len(frames))
	for _, f := range frames {
		decoded, err := protocol.DecodeEvents(f.message)
		if err != nil {
			s.metrics.Dropped("undecodable", 1)
			s.complaints.warn(ctx, time.Now(), "event message dropped", s.Name, err)
		}
		for _, e := range decoded {
			events = append(events, arrival{e, f.at})
		}
	}
	if len(events) == 0 {
		return
	}
	known, err := s.loadUnknown(ctx, events)
	if err != nil {
		slog.ErrorContext(ctx, "stored tasks cannot be read; what is known of them may be lost", "broker", s.Name, "error", err)
	}
	s.apply(ctx, events, known, err == nil)
}

// loadUnknown reads the stored tasks that the events are about and that are not
// in memory, all at once.
func (s *source) loadUnknown(ctx context.Context, events []arrival) ([]*state.Task, error) {
	seen := map[string]bool{}
	var ids []string
	for _, a := range events {
		if id := a.event.UUID(); a.event.IsTask() && id != "" && !seen[id] && s.state.Task(id) == nil {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return s.store.Load(context.WithoutCancel(ctx), s.id, ids)
}

// apply applies events. known are the stored tasks that they are about; loaded
// tells that there are no others.
func (s *source) apply(ctx context.Context, events []arrival, known []*state.Task, loaded bool) {
	s.mu.Lock()
	for _, t := range known {
		s.state.PutTask(t)
	}
	var changes []Change
	listening := s.hub.listening()
	for _, a := range events {
		change, err := s.state.Apply(a.event, a.at)
		if err != nil {
			s.metrics.Dropped("incomplete", 1)
			s.complaints.warn(ctx, time.Now(), "event dropped", s.Name, err)
			continue
		}
		s.note(change, a.at, loaded)
		if listening {
			changes = append(changes, changeOf(s.Name, change))
		}
	}
	s.mu.Unlock()
	if len(changes) > 0 {
		s.hub.publish(changes)
	}
}

// note counts an applied event and remembers what it changed for the next
// commit.
func (s *source) note(c state.Change, at float64, loaded bool) {
	name := ""
	if c.Task != nil {
		name = c.Task.Name
		s.pending.task(c.Task.UUID, c.Created && loaded)
		if c.Task.State != c.Before {
			switch c.Task.State {
			case state.Success:
				s.succeeded.add(int64(at))
			case state.Failure:
				s.failed.add(int64(at))
			}
		}
	}
	if c.Worker != nil {
		s.pending.worker(c.Worker.Hostname)
	}
	if c.Joined && s.Control != nil && c.Event.Type != protocol.EventWorkerOffline {
		select {
		case s.joined <- c.Worker.Hostname:
		default: // the next periodic round will do
		}
	}
	key := s.tallies.add(c.Event.Hostname, c.Event.Type, name)
	s.metrics.Observe(c, at, key.hostname, key.task)
}

func (s *source) unstored() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.pending.tasks)
}

func (s *source) commit(ctx context.Context, batch *store.Batch) error {
	start := time.Now()
	if err := s.store.Commit(ctx, batch); err != nil {
		return err
	}
	s.metrics.Wrote(time.Since(start))
	for range trimSteps {
		more, err := s.store.Trim(ctx)
		if err != nil {
			slog.ErrorContext(ctx, "old tasks cannot be deleted", "error", err)
		}
		if !more || err != nil {
			break
		}
	}
	return nil
}
