package worker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// yielding is a consumer that can stand aside, and notes for how long.
type yielding struct {
	broker.Consumer
	yields []time.Duration
	err    error
}

func (c *yielding) Yield(_ context.Context, d time.Duration) error {
	c.yields = append(c.yields, d)
	return c.err
}

// theirs has a worker know that another one registers a task.
func (s *stage) theirs(c broker.Consumer) *protocol.Task {
	s.w.consumer.Store(&c)
	s.w.foreign.learn(map[string]protocol.Raw{
		s.w.name: protocol.Raw(`["go.task"]`), "celery@python": protocol.Raw(`["py.task"]`),
	})
	return &protocol.Task{Name: "py.task", ID: "1"}
}

// The first times a foreign task goes straight back while we stand aside, longer
// each time; one that keeps coming is parked.
func TestHandBack(t *testing.T) {
	s := newStage(t, Config{})
	c := &yielding{}
	task := s.theirs(c)
	var ends []string
	for range foreignTries + 1 {
		ends = append(ends, s.deliver(task).end)
	}
	if want := []string{"return", "return", "return", "park"}; !slices.Equal(ends, want) {
		t.Errorf("the message was ended by %v, want %v", ends, want)
	}
	if want := []time.Duration{courtesyFirst, 2 * courtesyFirst, 4 * courtesyFirst}; !slices.Equal(c.yields, want) {
		t.Errorf("stood aside for %v, want %v", c.yields, want)
	}
	if n := s.w.strangers.Load(); n != foreignTries+1 {
		t.Errorf("%d strangers in a row, want %d", n, foreignTries+1)
	}
	s.wantStates()
	s.wantEvents()
}

// A consumer that cannot stand aside parks from the first time on.
func TestHandBackByParking(t *testing.T) {
	s := newStage(t, Config{})
	task := s.theirs(struct{ broker.Consumer }{})
	before := time.Now()
	d := s.deliver(task)
	d.want(t, "park")
	if d.until.Before(before.Add(foreignPause)) || d.until.After(time.Now().Add(foreignPause)) {
		t.Errorf("parked until %v, want %v from %v on", d.until, foreignPause, before)
	}
}

// Nor does one that cannot at the moment keep the message.
func TestHandBackWithoutYielding(t *testing.T) {
	s := newStage(t, Config{})
	task := s.theirs(&yielding{err: errors.New("no channel")})
	s.deliver(task).want(t, "park")
}
