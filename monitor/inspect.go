package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// InspectMethods are the answers that are always fetched together.
var InspectMethods = []string{"stats", "active_queues", "registered", "scheduled", "active", "reserved", "revoked", "conf"}

// inspectArguments are what celery.app.control.Inspect sends with a method.
var inspectArguments = map[string]protocol.Object{
	"registered": {{Name: "taskinfoitems", Value: []any{}}},
	"active":     {{Name: "safe", Value: true}},
	"conf":       {{Name: "with_defaults", Value: false}},
}

const (
	// inspectEvery is how old answers become before everybody is asked again.
	inspectEvery = time.Minute
	// inspectAgain is the pause before a worker that appeared and did not
	// answer is asked again, inspectTries how often it is asked.
	inspectAgain = time.Second
	inspectTries = 10
)

// Inspect holds a worker's last answers, as it sent them. The zero value is a
// worker that never answered.
type Inspect struct {
	// At is when the last answer came.
	At time.Time
	// Answers are keyed by method; a missing one was never answered.
	Answers map[string]protocol.Raw
}

// inspector fetches and keeps inspect answers. It is safe for concurrent use.
type inspector struct {
	control Control // nil: there is nobody to ask
	timeout time.Duration
	now     func() time.Time

	mu      sync.Mutex
	workers map[string]Inspect
	rounds  map[string]*round // by worker, "" for everybody
}

// round is one round of questions that several callers may wait for.
type round struct {
	done chan struct{}
	err  error
}

func newInspector(control Control, timeout time.Duration, now func() time.Time) *inspector {
	return &inspector{control: control, timeout: timeout, now: now, workers: map[string]Inspect{}, rounds: map[string]*round{}}
}

// Refresh asks workers for all eight inspect answers and waits for them, at most
// Config.InspectTimeout and a little. hostname "" asks everybody. Refreshes of
// the same worker that overlap share one round. That nobody answers is no error.
func (m *Monitor) Refresh(ctx context.Context, broker, hostname string) error {
	s, err := m.source(broker)
	if err != nil {
		return err
	}
	return s.inspector.refresh(ctx, hostname)
}

func (i *inspector) refresh(ctx context.Context, hostname string) error {
	if i.control == nil {
		return nil
	}
	i.mu.Lock()
	r, running := i.rounds[hostname]
	if !running {
		r = &round{done: make(chan struct{})}
		i.rounds[hostname] = r
	}
	i.mu.Unlock()
	if running {
		select {
		case <-r.done:
			return r.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	// Others may wait for this round, so that it outlives its first caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.timeout+time.Second)
	defer cancel()
	r.err = i.ask(ctx, hostname)
	i.mu.Lock()
	delete(i.rounds, hostname)
	i.mu.Unlock()
	close(r.done)
	return r.err
}

// ask sends all eight questions at once and keeps the answers.
func (i *inspector) ask(ctx context.Context, hostname string) error {
	var destination []string
	if hostname != "" {
		destination = []string{hostname}
	}
	errs := make([]error, len(InspectMethods))
	var wg sync.WaitGroup
	for n, method := range InspectMethods {
		wg.Go(func() {
			answers, err := i.control.Inspect(ctx, method, inspectArguments[method], destination, i.timeout)
			i.keep(method, answers)
			if err != nil && ctx.Err() == nil {
				errs[n] = fmt.Errorf("inspect %s: %w", method, err)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the eight fail for one reason
		}
	}
	return nil
}

func (i *inspector) keep(method string, answers map[string]protocol.Raw) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for hostname, answer := range answers {
		if len(answer) == 0 || string(answer) == "null" || isError(answer) {
			continue
		}
		if method == "stats" {
			answer = withoutAlternates(answer)
		}
		old := i.workers[hostname]
		next := Inspect{At: i.now(), Answers: maps.Clone(old.Answers)}
		if next.Answers == nil {
			next.Answers = map[string]protocol.Raw{}
		}
		next.Answers[method] = answer
		i.workers[hostname] = next
	}
}

// isError reports whether a worker answered {"error": ...} instead of what was
// asked.
func isError(answer protocol.Raw) bool {
	fields, err := protocol.SplitObject(answer)
	return err == nil && len(fields) == 1 && fields[0].Name == "error"
}

// withoutAlternates leaves out stats.broker.alternates, which can hold passwords
// (as Flower does; mher/flower#1512).
func withoutAlternates(stats protocol.Raw) protocol.Raw {
	o, err := protocol.DecodeObject(stats)
	if err != nil {
		return stats
	}
	strip := func(o protocol.Object) {
		v, _ := o.Get("broker")
		if b, ok := v.(protocol.Object); ok {
			o.Set("broker", b.Without("alternates"))
		}
	}
	strip(o)
	if v, _ := o.Get("consumer"); v != nil {
		if consumer, ok := v.(protocol.Object); ok {
			strip(consumer)
		}
	}
	raw, err := protocol.Marshal(o)
	if err != nil {
		return stats
	}
	return raw
}

// answers returns what a worker last answered.
func (i *inspector) answers(hostname string) (Inspect, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a, ok := i.workers[hostname]
	return a, ok
}

// all returns the last answers of every worker. The maps in it never change.
func (i *inspector) all() map[string]Inspect {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.workers)
}

func (i *inspector) forget(hostname string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.workers, hostname)
}

// keepInspecting asks everybody at the start and every minute, and workers that
// appear as they do, again and again for a while: a worker says that it is
// online before it listens to control commands.
func (s *source) keepInspecting(ctx context.Context) {
	everybody, again := time.NewTicker(inspectEvery), time.NewTicker(inspectAgain)
	defer everybody.Stop()
	defer again.Stop()
	silent := map[string]joiner{}
	s.inspect(ctx, "")
	for {
		select {
		case hostname := <-s.joined:
			silent[hostname] = joiner{since: s.cfg.Now()}
			for more := true; more; {
				select {
				case hostname = <-s.joined:
					silent[hostname] = joiner{since: s.cfg.Now()}
				default:
					more = false
				}
			}
			s.inspectSilent(ctx, silent)
		case <-again.C:
			s.inspectSilent(ctx, silent)
		case <-everybody.C:
			s.inspect(ctx, "")
		case <-ctx.Done():
			return
		}
	}
}

// joiner is a worker that appeared and has not answered yet.
type joiner struct {
	since time.Time
	tries int
}

func (s *source) inspectSilent(ctx context.Context, silent map[string]joiner) {
	switch len(silent) {
	case 0:
		return
	case 1:
		for hostname := range silent {
			s.inspect(ctx, hostname)
		}
	default:
		s.inspect(ctx, "") // several at once: one round for all
	}
	for hostname, j := range silent {
		answers, _ := s.inspector.answers(hostname)
		if j.tries++; !answers.At.Before(j.since) || j.tries == inspectTries {
			delete(silent, hostname)
			continue
		}
		silent[hostname] = j
	}
}

func (s *source) inspect(ctx context.Context, hostname string) {
	if err := s.inspector.refresh(ctx, hostname); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "workers cannot be inspected", "broker", s.Name, "worker", hostname, "error", err)
	}
}
