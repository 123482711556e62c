package redis

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// maxBehind is how many results of one id wait for a slow reader. Beyond that
// the oldest is dropped; the newest never is.
const maxBehind = 16

// watch is what one reader waits for. Its queue holds results as they were on
// the wire; Next decodes them.
type watch struct {
	b      *Backend
	notify chan struct{} // the queue is not empty, or the watch is closed
	closed atomic.Bool

	mu    sync.Mutex
	ids   map[string]*subscription
	queue []delivery
}

// subscription is one watch's interest in one id.
type subscription struct {
	id, key string
	done    atomic.Bool // a ready result was delivered: polling may stop

	// The rest is guarded by watch.mu.
	queued int
	heard  bool   // whether anything was queued yet
	last   uint64 // hash of what was queued last
}

type delivery struct {
	sub  *subscription
	data []byte
}

var seed = maphash.MakeSeed()

// Watch subscribes to the ids and returns once the server has confirmed it; an
// unreachable server is an error matching backend.ErrConnection. From then on
// the watch survives lost connections by itself.
func (b *Backend) Watch(ctx context.Context, ids ...string) (backend.Watch, error) {
	w := &watch{b: b, notify: make(chan struct{}, 1), ids: map[string]*subscription{}}
	if err := w.Add(ctx, ids...); err != nil {
		return nil, err
	}
	return w, nil
}

// Add watches more ids; those watched already are left as they are. It returns
// once they are subscribed. After an error none of them is watched.
func (w *watch) Add(ctx context.Context, ids ...string) error {
	if err := w.ended(); err != nil {
		return err
	}
	fresh := w.enter(ids)
	if len(fresh) == 0 {
		return nil
	}
	ready, failed := w.b.hub.join(w, fresh)
	for _, r := range ready {
		var err error
		select {
		case <-r:
			continue
		case <-failed:
			err = w.b.hub.why()
		case <-ctx.Done():
			err = fmt.Errorf("subscribe to results: %w", context.Cause(ctx))
		case <-w.b.closing.Done():
			err = backend.ErrClosed
		}
		w.drop(fresh)
		return err
	}
	if w.closed.Load() { // Close may have missed what was just entered
		w.drop(fresh)
		return backend.ErrClosed
	}
	return nil
}

func (w *watch) enter(ids []string) []*subscription {
	w.mu.Lock()
	defer w.mu.Unlock()
	var fresh []*subscription
	for _, id := range ids {
		if w.ids[id] == nil {
			s := &subscription{id: id, key: w.b.keys.task(id)}
			w.ids[id] = s
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// Remove stops watching ids and forgets what of them was not yet delivered.
func (w *watch) Remove(_ context.Context, ids ...string) error {
	if err := w.ended(); err != nil {
		return err
	}
	w.mu.Lock()
	var subs []*subscription
	for _, id := range ids {
		if s := w.ids[id]; s != nil {
			subs = append(subs, s)
		}
	}
	w.mu.Unlock()
	w.drop(subs)
	return nil
}

func (w *watch) drop(subs []*subscription) {
	w.b.hub.part(w, subs)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range subs {
		if w.ids[s.id] == s {
			delete(w.ids, s.id)
		}
	}
	w.queue = slices.DeleteFunc(w.queue, func(d delivery) bool { return w.ids[d.sub.id] != d.sub })
}

// offer queues a result unless it is what was queued last. It never waits.
func (w *watch) offer(s *subscription, data []byte) {
	sum := maphash.Bytes(seed, data)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ids[s.id] != s || s.heard && s.last == sum {
		return
	}
	if s.queued == maxBehind {
		oldest := slices.IndexFunc(w.queue, func(d delivery) bool { return d.sub == s })
		w.queue = slices.Delete(w.queue, oldest, oldest+1)
		s.queued--
	}
	w.queue = append(w.queue, delivery{s, data})
	s.queued++
	s.heard, s.last = true, sum
	signal(w.notify)
}

// Next returns the next result: for each id first what is stored, if anything,
// then each newer one. A stored value that cannot be read is an error naming its
// id, after which Next may be called again.
func (w *watch) Next(ctx context.Context) (*protocol.Result, error) {
	for {
		if err := w.ended(); err != nil {
			return nil, err
		}
		if d, ok := w.pop(); ok {
			r, err := w.b.decodeResult(d.sub.id, d.data)
			if err != nil {
				return nil, fmt.Errorf("result of %s: %w", d.sub.id, err)
			}
			d.sub.done.Store(r.Ready())
			return r, nil
		}
		select {
		case <-w.notify:
		case <-w.b.closing.Done():
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for results: %w", context.Cause(ctx))
		}
	}
}

func (w *watch) pop() (delivery, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil
		return delivery{}, false
	}
	d := w.queue[0]
	w.queue[0] = delivery{}
	w.queue = w.queue[1:]
	d.sub.queued--
	return d, true
}

func (w *watch) ended() error {
	if w.closed.Load() || w.b.closing.Err() != nil {
		return backend.ErrClosed
	}
	return nil
}

// Close stops watching and wakes Next. Closing twice is harmless.
func (w *watch) Close() error {
	if w.closed.Swap(true) {
		return nil
	}
	w.mu.Lock()
	subs := slices.Collect(maps.Values(w.ids))
	w.mu.Unlock()
	w.drop(subs)
	signal(w.notify)
	return nil
}
