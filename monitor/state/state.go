// Package state keeps what events tell about workers and tasks, by the rules of
// celery.events.state, so that Flower's API gives the same answers. It is pure:
// no I/O, no clock, no goroutine. Events may come late, twice or out of order.
package state

import (
	"errors"
	"fmt"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// State is what one broker's events told. It is owned by one goroutine.
//
// Tasks are only those that the owner keeps here: it puts a stored task back
// with PutTask before it applies the next event of that task, and forgets tasks
// with DropTask.
type State struct {
	workers map[string]*Worker
	order   []string // host names, first seen first
	tasks   map[string]*Task
	clock   clock
}

// New returns an empty State.
func New() *State {
	return &State{workers: map[string]*Worker{}, tasks: map[string]*Task{}}
}

// Change is what one event changed. Worker and Task point into the State: copy
// them before they leave the owner's goroutine.
type Change struct {
	Event  *protocol.Event
	Worker *Worker // nil for events of clients and of other groups
	Task   *Task   // nil for events that are not about a task
	// Joined is true for a worker's first event and for each worker-online.
	Joined bool
	// Created is true for the first event of a task that was not in the State.
	Created bool
	// Before is the task's state before the event, "" when it was created.
	Before string
}

// ErrIncomplete means that an event lacks a field that its kind must have; it
// changed nothing.
var ErrIncomplete = errors.New("incomplete event")

// Apply takes one event that arrived at the time given (Unix seconds).
//
// Times are kept as the sender gave them. Celery's own receiver moves them by
// the difference of the two time zones although all are Unix time, which shows
// wrong hours and keeps dead workers alive where zones differ.
func (s *State) Apply(e *protocol.Event, received float64) (Change, error) {
	s.clock.receive(e)
	group, subject, _ := strings.Cut(e.Type, "-")
	switch group {
	case "worker":
		return s.applyWorker(subject, e, received), nil
	case "task":
		return s.applyTask(subject, e, received)
	}
	return Change{Event: e}, nil
}

func (s *State) applyWorker(subject string, e *protocol.Event, received float64) Change {
	w, ok := s.workers[e.Hostname]
	if !ok {
		w = newWorker(e.Hostname)
		if subject != "offline" {
			s.addWorker(w)
		}
	}
	w.Seen = max(w.Seen, received)
	w.observe(subject, e, received)
	if !ok && subject == "offline" {
		return Change{Event: e} // a goodbye from a stranger leaves no trace
	}
	return Change{Event: e, Worker: w, Joined: !ok || subject == "online"}
}

func (s *State) applyTask(subject string, e *protocol.Event, received float64) (Change, error) {
	id := e.UUID()
	if id == "" || e.Timestamp == 0 {
		return Change{}, fmt.Errorf("%w: %s of %s without uuid or timestamp", ErrIncomplete, e.Type, e.Hostname)
	}
	t, known := s.tasks[id]
	change := Change{Event: e, Created: !known}
	if known {
		change.Before = t.State
	} else {
		t = &Task{UUID: id, State: Pending}
		s.tasks[id] = t
	}
	change.Task = t
	if subject == "sent" {
		t.Client = e.Hostname
	} else {
		change.Worker, change.Joined = s.touchWorker(e, received)
		t.Worker = e.Hostname
	}
	t.merge(subject, e)
	return change, nil
}

// touchWorker lets a task event keep its worker alive. Celery passes the event's
// own time as the time of the heartbeat.
func (s *State) touchWorker(e *protocol.Event, received float64) (w *Worker, joined bool) {
	w, ok := s.workers[e.Hostname]
	if !ok {
		w = newWorker(e.Hostname)
		s.addWorker(w)
	}
	w.Seen = max(w.Seen, received)
	w.beat(e.Timestamp)
	return w, !ok
}

func (s *State) addWorker(w *Worker) {
	s.workers[w.Hostname] = w
	s.order = append(s.order, w.Hostname)
}

// Worker returns a worker, or nil.
func (s *State) Worker(hostname string) *Worker { return s.workers[hostname] }

// Workers returns all workers, first seen first.
func (s *State) Workers() []*Worker {
	out := make([]*Worker, len(s.order))
	for i, name := range s.order {
		out[i] = s.workers[name]
	}
	return out
}

// PutWorker restores a worker that an earlier process knew.
func (s *State) PutWorker(w *Worker) {
	if _, ok := s.workers[w.Hostname]; !ok {
		s.addWorker(w)
	}
}

// DropWorker forgets a worker.
func (s *State) DropWorker(hostname string) {
	delete(s.workers, hostname)
	for i, name := range s.order {
		if name == hostname {
			s.order = append(s.order[:i], s.order[i+1:]...)
			return
		}
	}
}

// Task returns a task that is in memory, or nil.
func (s *State) Task(id string) *Task { return s.tasks[id] }

// PutTask brings a stored task back into memory.
func (s *State) PutTask(t *Task) { s.tasks[t.UUID] = t }

// DropTask takes a task out of memory.
func (s *State) DropTask(id string) { delete(s.tasks, id) }

// TaskCount is the number of tasks in memory.
func (s *State) TaskCount() int { return len(s.tasks) }

// clock is the receiver's Lamport clock (kombu.clocks). Clients never
// synchronise theirs, so task-sent gets ours, one less.
type clock int64

func (c *clock) receive(e *protocol.Event) {
	switch {
	case e.Type == protocol.EventTaskSent:
		e.Clock = max(int64(*c), 1) - 1
		c.adjust(e.Clock)
	case e.Clock == 0:
		*c++
		e.Clock = int64(*c)
	default:
		c.adjust(e.Clock)
	}
}

func (c *clock) adjust(other int64) { *c = clock(max(int64(*c), other) + 1) }
