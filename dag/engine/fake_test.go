package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// fakeCelery is a broker, its workers and their result backend in memory. Tasks
// run when the test says so.
type fakeCelery struct {
	mu        sync.Mutex
	queue     []protocol.Signature
	published map[string]int // by task id
	results   map[string]*protocol.Result
	watches   map[*fakeWatch]bool
	revoked   []string
	// refuse makes Publish fail: before or after the broker has the tasks.
	refuse func() (before, after bool)
	// onPublish, when set, runs each task at once.
	onPublish func(protocol.Signature) *protocol.Result
}

func newFakeCelery() *fakeCelery {
	return &fakeCelery{published: map[string]int{}, results: map[string]*protocol.Result{}, watches: map[*fakeWatch]bool{}}
}

func idOf(sig protocol.Signature) string { return text(sig, "task_id") }

func text(sig protocol.Signature, option string) string {
	v, _ := sig.Options.Get(option)
	if raw, ok := v.(protocol.Raw); ok {
		v, _ = protocol.Decode(raw)
	}
	s, _ := v.(string)
	return s
}

func (f *fakeCelery) Publish(ctx context.Context, sigs ...protocol.Signature) error {
	before, after := false, false
	if f.refuse != nil {
		before, after = f.refuse()
	}
	if before {
		return broker.ErrConnection
	}
	for _, sig := range sigs {
		f.mu.Lock()
		f.published[idOf(sig)]++
		f.queue = append(f.queue, sig)
		f.mu.Unlock()
		if f.onPublish != nil {
			if r := f.onPublish(sig); r != nil {
				f.store(r)
			}
		}
	}
	if after {
		return errors.New("broken after the broker took the tasks")
	}
	return nil
}

func (f *fakeCelery) Revoke(ctx context.Context, ids ...string) error {
	f.mu.Lock()
	f.revoked = append(f.revoked, ids...)
	f.mu.Unlock()
	for _, id := range ids {
		f.store(&protocol.Result{TaskID: id, Status: protocol.StateRevoked, Value: protocol.TaskRevoked("revoked").Raw()})
	}
	return nil
}

// store keeps a result, never over a SUCCESS, and tells the watches.
func (f *fakeCelery) store(r *protocol.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.results[r.TaskID]; old != nil && old.Status == protocol.StateSuccess {
		return
	}
	f.results[r.TaskID] = r
	for w := range f.watches {
		w.offer(r)
	}
}

func (f *fakeCelery) Put(ctx context.Context, results ...backend.Put) error {
	for _, p := range results {
		f.store(p.Result)
	}
	return nil
}

func (f *fakeCelery) Get(ctx context.Context, id string) (*protocol.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.results[id]; r != nil {
		return r, nil
	}
	return &protocol.Result{TaskID: id, Status: protocol.StatePending}, nil
}

func (f *fakeCelery) Forget(ctx context.Context, id string) error { return nil }
func (f *fakeCelery) ReplyTo() string                             { return "" }
func (f *fakeCelery) Close() error                                { return nil }

func (f *fakeCelery) Watch(ctx context.Context, ids ...string) (backend.Watch, error) {
	w := &fakeWatch{f: f, ids: map[string]bool{}, wake: make(chan struct{}, 1)}
	f.mu.Lock()
	f.watches[w] = true
	f.mu.Unlock()
	return w, w.Add(ctx, ids...)
}

type fakeWatch struct {
	f    *fakeCelery
	ids  map[string]bool // under f.mu
	got  []*protocol.Result
	wake chan struct{}
}

func (w *fakeWatch) offer(r *protocol.Result) { // under f.mu
	if w.ids[r.TaskID] {
		w.got = append(w.got, r)
		nudge(w.wake)
	}
}

func (w *fakeWatch) Add(ctx context.Context, ids ...string) error {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	for _, id := range ids {
		w.ids[id] = true
		if r := w.f.results[id]; r != nil {
			w.offer(r)
		}
	}
	return nil
}

func (w *fakeWatch) Remove(ctx context.Context, ids ...string) error {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	for _, id := range ids {
		delete(w.ids, id)
	}
	return nil
}

func (w *fakeWatch) Next(ctx context.Context) (*protocol.Result, error) {
	for {
		w.f.mu.Lock()
		if len(w.got) > 0 {
			r := w.got[0]
			w.got = w.got[1:]
			w.f.mu.Unlock()
			return r, nil
		}
		w.f.mu.Unlock()
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *fakeWatch) Close() error {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	delete(w.f.watches, w)
	return nil
}

// ok is a SUCCESS with a JSON value.
func ok(id, value string) *protocol.Result {
	return &protocol.Result{TaskID: id, Status: protocol.StateSuccess, Value: protocol.Raw(value)}
}

// bad is a FAILURE.
func bad(id, message string) *protocol.Result {
	return &protocol.Result{TaskID: id, Status: protocol.StateFailure, Value: protocol.NewException(message).Raw()}
}
