package rpc

import (
	"container/list"
	"context"
	"slices"
	"sync"

	"github.com/umbel-go/umbel/protocol"
)

// maxBehind is how many states of one task wait for a slow watch. Beyond that the
// oldest is dropped; the newest never is.
const maxBehind = 16

// inbox keeps the last result of each of the newest tasks and hands every
// result to the watches that ask for it.
type inbox struct {
	keep      int
	keepBytes int

	mu      sync.Mutex
	order   *list.List // of kept, the task heard of last in front
	bytes   int        // of their messages
	byID    map[string]*list.Element
	watches map[*watch]bool
	failure error
}

// kept is a result and the size of its message, whose memory it shares.
type kept struct {
	result *protocol.Result
	size   int
}

func newInbox(keep, keepBytes int) *inbox {
	return &inbox{keep: keep, keepBytes: keepBytes, order: list.New(), byID: map[string]*list.Element{}, watches: map[*watch]bool{}}
}

// add keeps and hands on a result from a message of this size. A success stays,
// whatever comes later.
func (in *inbox) add(r *protocol.Result, size int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if known := in.find(r.TaskID); known == nil || known.Status != protocol.StateSuccess {
		in.drop(r.TaskID)
		in.byID[r.TaskID] = in.order.PushFront(kept{r, size})
		in.bytes += size
	}
	for in.order.Len() > 1 && (in.order.Len() > in.keep || in.bytes > in.keepBytes) {
		in.drop(in.order.Back().Value.(kept).result.TaskID)
	}
	for w := range in.watches {
		if w.ids[r.TaskID] {
			w.put(r)
		}
	}
}

// drop forgets the task. The caller holds mu.
func (in *inbox) drop(id string) {
	if e := in.byID[id]; e != nil {
		in.bytes -= in.order.Remove(e).(kept).size
		delete(in.byID, id)
	}
}

func (in *inbox) get(id string) *protocol.Result {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.find(id)
}

func (in *inbox) find(id string) *protocol.Result {
	if e := in.byID[id]; e != nil {
		return e.Value.(kept).result
	}
	return nil
}

func (in *inbox) forget(id string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.drop(id)
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
	w := &watch{inbox: in, ids: map[string]bool{}, behind: map[string]int{}, wake: make(chan struct{}, 1)}
	in.watches[w] = true
	return w
}

// watch implements backend.Watch. Its fields belong to the inbox's mutex.
type watch struct {
	inbox   *inbox
	ids     map[string]bool
	pending []*protocol.Result
	behind  map[string]int // how many of a task are pending
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
		if w.behind[r.TaskID]--; w.behind[r.TaskID] == 0 {
			delete(w.behind, r.TaskID)
		}
		if w.ids[r.TaskID] { // it may have been removed since
			return r, nil
		}
	}
	return nil, w.inbox.failure
}

// put queues a result. It never waits.
func (w *watch) put(r *protocol.Result) {
	if w.behind[r.TaskID] == maxBehind {
		oldest := slices.IndexFunc(w.pending, func(p *protocol.Result) bool { return p.TaskID == r.TaskID })
		w.pending = slices.Delete(w.pending, oldest, oldest+1)
	} else {
		w.behind[r.TaskID]++
	}
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
