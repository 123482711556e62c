package rpc

import (
	"container/list"
	"context"
	"sync"

	"github.com/umbel-go/umbel/protocol"
)

// inbox keeps the last result of each of the newest tasks and hands every
// result to the watches that ask for it.
type inbox struct {
	keep int

	mu      sync.Mutex
	order   *list.List // of *protocol.Result, the task heard of last in front
	byID    map[string]*list.Element
	watches map[*watch]bool
	failure error
}

func newInbox(keep int) *inbox {
	return &inbox{keep: keep, order: list.New(), byID: map[string]*list.Element{}, watches: map[*watch]bool{}}
}

// add keeps and hands on a result. A success stays, whatever comes later.
func (in *inbox) add(r *protocol.Result) {
	in.mu.Lock()
	defer in.mu.Unlock()
	e, known := in.byID[r.TaskID]
	switch {
	case !known:
		in.byID[r.TaskID] = in.order.PushFront(r)
	case e.Value.(*protocol.Result).Status != protocol.StateSuccess:
		e.Value = r
		in.order.MoveToFront(e)
	}
	for in.order.Len() > in.keep {
		oldest := in.order.Remove(in.order.Back()).(*protocol.Result)
		delete(in.byID, oldest.TaskID)
	}
	for w := range in.watches {
		if w.ids[r.TaskID] {
			w.put(r)
		}
	}
}

func (in *inbox) get(id string) *protocol.Result {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.find(id)
}

func (in *inbox) find(id string) *protocol.Result {
	if e := in.byID[id]; e != nil {
		return e.Value.(*protocol.Result)
	}
	return nil
}

func (in *inbox) forget(id string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if e := in.byID[id]; e != nil {
		in.order.Remove(e)
		delete(in.byID, id)
	}
}

// fail ends all watches, present and future ones.
func (in *inbox) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.failure = err
	for w := range in.watches {
		w.signal()
	}
}

// watch opens a watch for no ids yet.
func (in *inbox) watch() *watch {
	in.mu.Lock()
	defer in.mu.Unlock()
	w := &watch{inbox: in, ids: map[string]bool{}, wake: make(chan struct{}, 1)}
	in.watches[w] = true
	return w
}

// watch implements backend.Watch. Its fields belong to the inbox's mutex.
type watch struct {
	inbox   *inbox
	ids     map[string]bool
	pending []*protocol.Result
	closed  bool
	wake    chan struct{}
}

// Add implements backend.Watch.
func (w *watch) Add(_ context.Context, ids ...string) error {
	w.inbox.mu.Lock()
	defer w.inbox.mu.Unlock()
	for _, id := range ids {
		if w.ids[id] {
			continue
		}
		w.ids[id] = true
		if r := w.inbox.find(id); r != nil {
			w.put(r)
		}
	}
	return nil
}

// Remove implements backend.Watch.
func (w *watch) Remove(_ context.Context, ids ...string) error {
	w.inbox.mu.Lock()
	defer w.inbox.mu.Unlock()
	for _, id := range ids {
		delete(w.ids, id)
	}
	return nil
}

// Next implements backend.Watch. While the broker is away it waits; results that
// were sent meanwhile are lost.
func (w *watch) Next(ctx context.Context) (*protocol.Result, error) {
	for {
		r, err := w.take()
		if r != nil || err != nil {
			return r, err
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (w *watch) take() (*protocol.Result, error) {
	w.inbox.mu.Lock()
	defer w.inbox.mu.Unlock()
	if w.closed {
		return nil, errClosed
	}
	for len(w.pending) > 0 {
		r := w.pending[0]
		w.pending = w.pending[1:]
		if w.ids[r.TaskID] { // it may have been removed since
			return r, nil
		}
	}
	return nil, w.inbox.failure
}

func (w *watch) put(r *protocol.Result) {
	w.pending = append(w.pending, r)
	w.signal()
}

func (w *watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close implements backend.Watch.
func (w *watch) Close() error {
	w.inbox.mu.Lock()
	defer w.inbox.mu.Unlock()
	w.closed = true
	delete(w.inbox.watches, w)
	w.signal()
	return nil
}
