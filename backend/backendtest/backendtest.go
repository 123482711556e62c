// Package backendtest is the conformance suite of result backends. Every driver
// runs it, told what it can do:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, backendtest.Driver{
//			Open:     func(t *testing.T) backend.Backend { ... },
//			Features: backendtest.Features{Stored: true, Chords: true},
//		})
//	}
package backendtest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// Driver is a backend under test.
type Driver struct {
	// Open returns a new backend. All that one test opens share their storage:
	// the suite writes through one, as a worker, and reads through another, as a
	// client. The suite closes them.
	Open     func(t *testing.T) backend.Backend
	Features Features
}

// Features are what a driver can do.
type Features struct {
	// Stored: results lie somewhere, so that Get finds them by id from anywhere,
	// Forget deletes them, and a success is kept. Without it (rpc) a result
	// reaches the one client that it was sent to, once, by its Watch.
	Stored bool
	// Chords: the backend implements backend.Chorder.
	Chords bool
}

// Run runs the suite, every test in parallel with the others.
func Run(t *testing.T, d Driver) {
	tests := []struct {
		name  string
		needs Features
		run   func(*testing.T, *fixture)
	}{
		{"unknown id is pending", Features{Stored: true}, unknownIsPending},
		{"stored as put", Features{Stored: true}, storedAsPut},
		{"many at once", Features{Stored: true}, manyAtOnce},
		{"success is kept", Features{Stored: true}, successIsKept},
		{"other states are replaced", Features{Stored: true}, othersAreReplaced},
		{"forget", Features{Stored: true}, forget},
		{"watch delivers what is stored first", Features{Stored: true}, watchStored},
		{"two watches of one id", Features{Stored: true}, twoWatches},
		{"watch delivers each state", Features{}, watchEachState},
		{"watch delivers the whole result", Features{}, watchWhole},
		{"watch many", Features{}, watchMany},
		{"add and remove", Features{}, addAndRemove},
		{"next ends with its context", Features{}, nextEnds},
		{"close wakes next", Features{}, closeWakes},
		{"closed backend refuses", Features{}, closedRefuses},
		{"groups are kept", Features{Chords: true}, groupsAreKept},
		{"chord joins in order", Features{Chords: true}, chordInOrder},
		{"chord counts a part once", Features{Chords: true}, chordCountsOnce},
		{"chord joins once under contention", Features{Chords: true}, chordOnce},
		{"chord waits for its size", Features{Chords: true}, chordWaitsForSize},
		{"chord hands over failed parts", Features{Chords: true}, chordFailedPart},
		{"chord grows", Features{Chords: true}, chordGrows},
		{"chord ignores late parts", Features{Chords: true}, chordLateParts},
		{"chord runs again under its id", Features{Chords: true}, chordAgain},
		{"chord ends once when it failed", Features{Chords: true}, chordFailsOnce},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.needs.Stored && !d.Features.Stored || test.needs.Chords && !d.Features.Chords {
				t.Skip("the driver does not claim this feature")
			}
			t.Parallel()
			test.run(t, newFixture(t, d))
		})
	}
}

// patience is how long a result may take on a busy machine.
const patience = 20 * time.Second

// fixture is a worker's and a client's backend and a context that ends with
// patience.
type fixture struct {
	driver Driver
	worker backend.Backend
	client backend.Backend
	ctx    context.Context
}

func newFixture(t *testing.T, d Driver) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	f := &fixture{driver: d, ctx: ctx}
	f.worker, f.client = f.open(t), f.open(t)
	return f
}

func (f *fixture) open(t *testing.T) backend.Backend {
	t.Helper()
	b := f.driver.Open(t)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// put stores results as a worker does for tasks that the client sent.
func (f *fixture) put(t *testing.T, results ...*protocol.Result) {
	t.Helper()
	puts := make([]backend.Put, len(results))
	for i, r := range results {
		puts[i] = backend.Put{Result: r, ReplyTo: f.client.ReplyTo(), CorrelationID: r.TaskID}
	}
	if err := f.worker.Put(f.ctx, puts...); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func (f *fixture) get(t *testing.T, id string) *protocol.Result {
	t.Helper()
	r, err := f.client.Get(f.ctx, id)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return r
}

func (f *fixture) watch(t *testing.T, ids ...string) backend.Watch {
	t.Helper()
	w, err := f.client.Watch(f.ctx, ids...)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil && !errors.Is(err, backend.ErrClosed) {
			t.Errorf("close watch: %v", err)
		}
	})
	return w
}

func (f *fixture) next(t *testing.T, w backend.Watch) *protocol.Result {
	t.Helper()
	r, err := w.Next(f.ctx)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return r
}

// newID is unlike every other task or group id, in other processes too.
func newID() string { return "test-" + rand.Text() }

func success(id, value string) *protocol.Result {
	return &protocol.Result{
		TaskID: id, Status: protocol.StateSuccess, Value: protocol.Raw(value),
		DateDone: time.Date(2026, 11, 20, 23, 21, 2, 614866000, time.UTC),
	}
}

func started(id string) *protocol.Result {
	return &protocol.Result{TaskID: id, Status: protocol.StateStarted, Value: protocol.Raw(`{"pid": 1, "hostname": "umbel@test"}`)}
}

func failure(id, class string, args ...any) *protocol.Result {
	e := &protocol.Exception{Type: class, Module: "builtins", Args: args}
	return &protocol.Result{
		TaskID: id, Status: protocol.StateFailure, Value: e.Raw(), Traceback: "Traceback: é\n",
		DateDone: time.Date(2026, 11, 20, 23, 21, 3, 0, time.UTC),
	}
}

// expect compares status and value.
func expect(t *testing.T, got *protocol.Result, id, status, value string) {
	t.Helper()
	if got.TaskID != id || got.Status != status || string(got.Value) != value {
		t.Fatalf("got %s %s %s, want %s %s %s", got.TaskID, got.Status, got.Value, id, status, value)
	}
}
