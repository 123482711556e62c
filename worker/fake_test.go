package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// stage is a worker without a server: what it publishes, stores and does to a
// delivery is kept for the test to look at.
type stage struct {
	t       *testing.T
	w       *Worker
	broker  *fakeBroker
	backend *fakeBackend
}

func newStage(t *testing.T, cfg Config) *stage {
	t.Helper()
	s := &stage{t: t, broker: &fakeBroker{}, backend: &fakeBackend{sizes: map[string]int{}, parts: map[string][]backend.Part{}}}
	cfg.Broker, cfg.Backend, cfg.Name, cfg.TaskEvents = s.broker, s.backend, "w@test", true
	s.w = New(cfg)
	s.w.settling = t.Context()
	return s
}

// task registers a function that returns what it is told.
func (s *stage) task(name string, value any, err error, opts ...Option) {
	Must(s.w.Register(name, func(context.Context, *Task) (any, error) { return value, err }, opts...))
}

// send turns a signature into the message of its first task.
func (s *stage) send(sig protocol.Signature, opts ...client.Option) *delivery {
	s.t.Helper()
	plan, err := protocol.Apply(client.With(sig, opts...), nil, nil, protocol.Env{NewID: newID(), Now: time.Now(), Origin: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.deliver(plan.Sends[0].Task)
}

func (s *stage) deliver(t *protocol.Task) *delivery {
	s.t.Helper()
	m, err := t.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	m.Properties.RoutingKey = "q"
	return s.handle(carried(m))
}

// carried is a message as it comes out of a broker: headers have gone through
// JSON.
func carried(m *protocol.Message) *protocol.Message {
	raw, err := protocol.Marshal(m.Headers)
	if err != nil {
		panic(err)
	}
	out := *m
	if out.Headers, err = protocol.DecodeObject(raw); err != nil {
		panic(err)
	}
	return &out
}

func (s *stage) handle(m *protocol.Message) *delivery {
	d := &delivery{message: m}
	s.w.handle(s.t.Context(), d)
	return d
}

// newID makes ids that a test can foresee: id1, id2 ...
func newID() func() string {
	n := 0
	return func() string { n++; return "id" + string(rune('0'+n)) }
}

// events are the types of the task events so far.
func (s *stage) events() []string {
	s.w.events.mu.Lock()
	defer s.w.events.mu.Unlock()
	var out []string
	for _, e := range s.w.events.queue {
		out = append(out, e.Type)
	}
	return out
}

func (s *stage) wantEvents(want ...string) {
	s.t.Helper()
	if got := s.events(); !slices.Equal(got, want) {
		s.t.Errorf("events %v, want %v", got, want)
	}
}

// wantStates checks the results stored, as "id STATE" in order.
func (s *stage) wantStates(want ...string) {
	s.t.Helper()
	var got []string
	for _, r := range s.backend.stored {
		got = append(got, r.TaskID+" "+r.Status)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("stored %v, want %v", got, want)
	}
}

// wantSent checks the names of the tasks published.
func (s *stage) wantSent(want ...string) []*protocol.Task {
	s.t.Helper()
	var names []string
	for _, t := range s.broker.sent {
		names = append(names, t.Name)
	}
	if !slices.Equal(names, want) {
		s.t.Fatalf("sent %v, want %v", names, want)
	}
	return s.broker.sent
}

func (d *delivery) want(t *testing.T, end string) {
	t.Helper()
	if d.end != end {
		t.Errorf("the message was ended by %q, want %q", d.end, end)
	}
}

type fakeBroker struct {
	broker.Broker
	fail func() error // asked before every publish

	mu   sync.Mutex
	sent []*protocol.Task
}

func (b *fakeBroker) Info() broker.Info                           { return broker.Info{} }
func (b *fakeBroker) Declare(context.Context, broker.Queue) error { return nil }

func (b *fakeBroker) Publish(_ context.Context, msgs ...broker.Publishing) error {
	if b.fail != nil {
		if err := b.fail(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range msgs {
		if m.Exchange == "" && m.RoutingKey == "" {
			return broker.ErrNoQueue
		}
		t, err := protocol.DecodeTask(carried(m.Message))
		if err != nil {
			return err
		}
		b.sent = append(b.sent, t)
	}
	return nil
}

// fakeBackend joins chords as Redis does, in memory.
type fakeBackend struct {
	mu      sync.Mutex
	stored  []*protocol.Result
	put     func(*protocol.Result) error
	sizes   map[string]int
	parts   map[string][]backend.Part
	ended   []string // groups by "done" or "failed"
	taken   bool     // somebody else holds every claim
	orphans []backend.OrphanChord
}

func (b *fakeBackend) Put(_ context.Context, puts ...backend.Put) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range puts {
		if b.put != nil {
			if err := b.put(p.Result); err != nil {
				return err
			}
		}
		b.stored = append(b.stored, p.Result)
	}
	return nil
}

func (b *fakeBackend) Get(_ context.Context, id string) (*protocol.Result, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.stored) - 1; i >= 0; i-- {
		if b.stored[i].TaskID == id {
			return b.stored[i], nil
		}
	}
	return &protocol.Result{TaskID: id, Status: protocol.StatePending}, nil
}

func (b *fakeBackend) Watch(context.Context, ...string) (backend.Watch, error) {
	return nil, errors.New("not in this test")
}
func (b *fakeBackend) Forget(context.Context, string) error { return nil }
func (b *fakeBackend) ReplyTo() string                      { return "" }
func (b *fakeBackend) Close() error                         { return nil }

func (b *fakeBackend) PutGroup(context.Context, string, protocol.Raw) error { return nil }
func (b *fakeBackend) DeleteGroup(context.Context, string) error            { return nil }
func (b *fakeBackend) GetGroup(context.Context, string) (protocol.Tuple, error) {
	return protocol.Tuple{}, backend.ErrNoGroup
}

func (b *fakeBackend) StartChord(_ context.Context, c protocol.ChordStart) error {
	b.sizes[c.Group] = c.Size
	return nil
}

func (b *fakeBackend) GrowChord(_ context.Context, group string, by int) error {
	b.sizes[group] += by
	return nil
}

func (b *fakeBackend) AddPart(_ context.Context, p backend.Part) (*backend.ChordJoin, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parts[p.Group] = append(b.parts[p.Group], p)
	if len(b.parts[p.Group]) != b.sizes[p.Group] {
		return nil, nil
	}
	return b.join(p.Group), nil
}

func (b *fakeBackend) join(group string) *backend.ChordJoin {
	end := func(how string) func(context.Context) error {
		return func(context.Context) error {
			b.ended = append(b.ended, group+" "+how)
			return nil
		}
	}
	j := &backend.ChordJoin{
		Extend: func(context.Context) (bool, error) { return !b.taken, nil }, Done: end("done"), Failed: end("failed"),
	}
	for _, p := range b.parts[group] {
		j.Parts = append(j.Parts, p.Result)
	}
	return j
}

func (b *fakeBackend) OrphanChords(context.Context) ([]backend.OrphanChord, error) {
	return b.orphans, nil
}

type delivery struct {
	message *protocol.Message
	end     string
	reason  string
	until   time.Time // parked
	stuck   error     // why it can be neither parked nor made a dead letter
}

func (d *delivery) Message() *protocol.Message { return d.message }
func (d *delivery) Queue() string              { return "q" }
func (d *delivery) Redelivered() bool          { return false }
func (d *delivery) Lost() <-chan struct{}      { return nil }

func (d *delivery) ended(how string) error { d.end = how; return nil }

func (d *delivery) Ack(context.Context) error    { return d.ended("ack") }
func (d *delivery) Return(context.Context) error { return d.ended("return") }
func (d *delivery) Park(_ context.Context, until time.Time) error {
	if d.stuck != nil {
		return d.stuck
	}
	d.until = until
	return d.ended("park")
}
func (d *delivery) Dead(_ context.Context, reason string) error {
	if d.stuck != nil {
		return d.stuck
	}
	d.reason = reason
	return d.ended("dead")
}
func (d *delivery) Reject(_ context.Context, requeue bool) error {
	if requeue {
		return d.ended("requeue")
	}
	return d.ended("reject")
}
