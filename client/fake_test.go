package client

import (
	"context"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// recorder is a broker that keeps what it is given.
type recorder struct {
	broker.Broker
	calls    int // of Publish
	sent     []broker.Publishing
	declared []string
	errs     []error // of the first calls of Publish
}

func (b *recorder) Declare(_ context.Context, q broker.Queue) error {
	b.declared = append(b.declared, q.Name)
	return nil
}

func (b *recorder) Publish(ctx context.Context, msgs ...broker.Publishing) error {
	b.calls++
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		if err != nil {
			return err
		}
	}
	b.sent = append(b.sent, msgs...)
	return ctx.Err()
}

// task is the i-th message as a task.
func (b *recorder) task(t *testing.T, i int) *protocol.Task {
	t.Helper()
	m := *b.sent[i].Message
	raw, err := protocol.Marshal(m.Headers)
	if err == nil {
		m.Headers, err = protocol.DecodeObject(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	task, err := protocol.DecodeTask(&m)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// shelf is a backend that holds what it is given and counts its watches.
type shelf struct {
	results map[string]*protocol.Result
	groups  map[string]protocol.Tuple
	watches int
}

func newShelf(results ...*protocol.Result) *shelf {
	s := &shelf{results: map[string]*protocol.Result{}, groups: map[string]protocol.Tuple{}}
	for _, r := range results {
		s.results[r.TaskID] = r
	}
	return s
}

func success(id, value string, children ...protocol.Raw) *protocol.Result {
	return &protocol.Result{TaskID: id, Status: protocol.StateSuccess, Value: protocol.Raw(value), Children: children}
}

func failed(id, state string) *protocol.Result {
	e := &protocol.Exception{Type: "ValueError", Module: "builtins", Args: []any{"boom", 1}}
	return &protocol.Result{TaskID: id, Status: state, Value: e.Raw(), Traceback: "Traceback ..."}
}

func (s *shelf) Put(context.Context, ...backend.Put) error { return nil }

func (s *shelf) Get(_ context.Context, id string) (*protocol.Result, error) {
	if r := s.results[id]; r != nil {
		return r, nil
	}
	return &protocol.Result{TaskID: id, Status: protocol.StatePending}, nil
}

func (s *shelf) Watch(_ context.Context, ids ...string) (backend.Watch, error) {
	s.watches++
	w := &stored{}
	for _, id := range ids {
		if r := s.results[id]; r != nil {
			w.queue = append(w.queue, r, r) // a ready result may come more than once
		}
	}
	return w, nil
}

func (s *shelf) Forget(_ context.Context, id string) error { delete(s.results, id); return nil }
func (s *shelf) ReplyTo() string                           { return "reply-queue" }
func (s *shelf) Close() error                              { return nil }

func (s *shelf) PutGroup(_ context.Context, id string, raw protocol.Raw) (err error) {
	s.groups[id], err = protocol.DecodeTuple(raw)
	return err
}

func (s *shelf) GetGroup(_ context.Context, id string) (protocol.Tuple, error) {
	t, ok := s.groups[id]
	if !ok {
		return t, backend.ErrNoGroup
	}
	return t, nil
}

func (s *shelf) DeleteGroup(context.Context, string) error { return nil }

type stored struct {
	backend.Watch
	queue []*protocol.Result
}

func (w *stored) Next(ctx context.Context) (*protocol.Result, error) {
	if len(w.queue) == 0 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	r := w.queue[0]
	w.queue = w.queue[1:]
	return r, nil
}

func (w *stored) Close() error { return nil }

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
