package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

func watchStored(t *testing.T, f *fixture) {
	id, other := newID(), newID()
	f.put(t, failure(id, "ValueError"))
	w := f.watch(t, id, other)
	if r := f.next(t, w); r.TaskID != id || r.Status != protocol.StateFailure {
		t.Fatalf("got %+v", r)
	}
	f.put(t, success(id, "1"))
	expect(t, f.next(t, w), id, protocol.StateSuccess, "1")
}

func twoWatches(t *testing.T, f *fixture) {
	id := newID()
	first := f.watch(t, id)
	f.put(t, started(id))
	second := f.watch(t, id)
	for _, w := range []backend.Watch{first, second} {
		if r := f.next(t, w); r.Status != protocol.StateStarted {
			t.Fatalf("got %+v", r)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	f.put(t, success(id, "1"))
	expect(t, f.next(t, second), id, protocol.StateSuccess, "1")
}

func watchEachState(t *testing.T, f *fixture) {
	id := newID()
	w := f.watch(t, id)
	f.put(t, started(id))
	if r := f.next(t, w); r.Status != protocol.StateStarted || r.Ready() {
		t.Fatalf("got %+v", r)
	}
	f.put(t, success(id, `"text"`))
	if r := f.next(t, w); !r.Ready() || string(r.Value) != `"text"` {
		t.Fatalf("got %+v", r)
	}
}

func watchWhole(t *testing.T, f *fixture) {
	want := failure(newID(), "KeyError", "k")
	want.Children = []protocol.Raw{protocol.ResultTuple(newID(), nil)}
	w := f.watch(t, want.TaskID)
	f.put(t, want)
	same(t, f.next(t, w), want)
}

// watchMany has results written from several sides while they are watched, and
// wants the success of each, and no state after it.
func watchMany(t *testing.T, f *fixture) {
	const writers, each = 8, 40
	ids := make([]string, writers*each)
	for i := range ids {
		ids[i] = newID()
	}
	w := f.watch(t, ids[:len(ids)/2]...)
	var writing sync.WaitGroup
	defer writing.Wait()
	for n := range writers {
		writing.Go(func() {
			for i := n; i < len(ids); i += writers {
				for _, r := range []*protocol.Result{started(ids[i]), success(ids[i], fmt.Sprint(i))} {
					put := backend.Put{Result: r, ReplyTo: f.client.ReplyTo(), CorrelationID: r.TaskID}
					if err := f.worker.Put(f.ctx, put); err != nil {
						t.Errorf("put: %v", err)
						return
					}
				}
			}
		})
	}
	if err := w.Add(f.ctx, ids[len(ids)/2:]...); err != nil {
		t.Fatalf("add: %v", err)
	}
	done := map[string]bool{}
	for len(done) < len(ids) {
		r := f.next(t, w)
		if done[r.TaskID] && !r.Ready() {
			t.Fatalf("%s went back to %s", r.TaskID, r.Status)
		}
		done[r.TaskID] = done[r.TaskID] || r.Ready()
	}
}

func addAndRemove(t *testing.T, f *fixture) {
	one, two, three := newID(), newID(), newID()
	w := f.watch(t, one)
	for _, ids := range [][]string{{two, three}, {two}} {
		if err := w.Add(f.ctx, ids...); err != nil {
			t.Fatalf("add: %v", err)
		}
	}
	if err := w.Remove(f.ctx, one, newID()); err != nil {
		t.Fatalf("remove: %v", err)
	}
	f.put(t, success(one, "1"), success(two, "2"))
	expect(t, f.next(t, w), two, protocol.StateSuccess, "2")
	f.put(t, success(three, "3"))
	expect(t, f.next(t, w), three, protocol.StateSuccess, "3")
}

func nextEnds(t *testing.T, f *fixture) {
	w := f.watch(t, newID())
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := w.Next(ctx)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func closeWakes(t *testing.T, f *fixture) {
	b := f.open(t)
	for name, end := range map[string]func(backend.Watch) error{
		"watch":   backend.Watch.Close,
		"backend": func(backend.Watch) error { return b.Close() },
	} {
		w, err := f.client.Watch(f.ctx, newID())
		if name == "backend" {
			w, err = b.Watch(f.ctx, newID())
		}
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := w.Next(f.ctx)
			ended <- err
		}()
		if err := end(w); err != nil {
			t.Fatalf("close %s: %v", name, err)
		}
		if err := <-ended; !errors.Is(err, backend.ErrClosed) {
			t.Fatalf("next after close of the %s: %v", name, err)
		}
	}
}

func closedRefuses(t *testing.T, f *fixture) {
	b := f.open(t)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	_, err := b.Watch(f.ctx, newID())
	if !errors.Is(err, backend.ErrClosed) {
		t.Fatalf("watch: %v", err)
	}
	put := backend.Put{Result: success(newID(), "1"), ReplyTo: "nowhere", CorrelationID: "1"}
	if err := b.Put(f.ctx, put); !errors.Is(err, backend.ErrClosed) {
		t.Fatalf("put: %v", err)
	}
}
