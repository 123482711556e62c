package backendtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// chord is one chord under test.
type chord struct {
	*fixture
	chorder backend.Chorder
	group   string
}

func newChord(t *testing.T, f *fixture, size int) *chord {
	t.Helper()
	chorder, ok := f.worker.(backend.Chorder)
	if !ok {
		t.Fatalf("%T is no backend.Chorder", f.worker)
	}
	c := &chord{f, chorder, newID()}
	if size > 0 {
		c.start(t, size)
	}
	return c
}

func (c *chord) start(t *testing.T, size int) {
	t.Helper()
	if err := c.chorder.StartChord(c.ctx, protocol.ChordStart{Group: c.group, Size: size}); err != nil {
		t.Fatalf("start: %v", err)
	}
}

func (c *chord) add(t *testing.T, index int, r *protocol.Result) *backend.ChordJoin {
	t.Helper()
	join, err := c.chorder.AddPart(c.ctx, backend.Part{Group: c.group, Index: &index, Result: r})
	if err != nil {
		t.Fatalf("add part %d: %v", index, err)
	}
	return join
}

// pending adds parts and wants no join.
func (c *chord) pending(t *testing.T, index int, r *protocol.Result) {
	t.Helper()
	if c.add(t, index, r) != nil {
		t.Fatalf("part %d joined the chord", index)
	}
}

// last adds a part, wants the join and these values.
func (c *chord) last(t *testing.T, index int, r *protocol.Result, values ...string) *backend.ChordJoin {
	t.Helper()
	join := c.add(t, index, r)
	if join == nil {
		t.Fatalf("part %d did not join the chord", index)
	}
	wantParts(t, join, values...)
	return join
}

func wantParts(t *testing.T, join *backend.ChordJoin, values ...string) {
	t.Helper()
	got := make([]string, len(join.Parts))
	for i, p := range join.Parts {
		got[i] = string(p.Value)
	}
	if fmt.Sprint(got) != fmt.Sprint(values) {
		t.Fatalf("parts are %v, want %v", got, values)
	}
}

func (c *chord) done(t *testing.T, join *backend.ChordJoin) {
	t.Helper()
	if ok, err := join.Extend(c.ctx); err != nil || !ok {
		t.Fatalf("extend: %v, %v", ok, err)
	}
	if err := join.Done(c.ctx); err != nil {
		t.Fatalf("done: %v", err)
	}
}

func groupsAreKept(t *testing.T, f *fixture) {
	c := newChord(t, f, 0)
	want := protocol.Tuple{ID: c.group, Group: true, Members: []protocol.Tuple{
		{ID: newID(), Parent: &protocol.Tuple{ID: newID()}}, {ID: newID(), Group: true},
	}}
	if err := c.chorder.PutGroup(c.ctx, c.group, want.Raw()); err != nil {
		t.Fatalf("put: %v", err)
	}
	got, err := c.chorder.GetGroup(c.ctx, c.group)
	if err != nil || string(got.Raw()) != string(want.Raw()) {
		t.Fatalf("got %s, %v, want %s", got.Raw(), err, want.Raw())
	}
	for range 2 {
		if err := c.chorder.DeleteGroup(c.ctx, c.group); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	if _, err := c.chorder.GetGroup(c.ctx, c.group); !errors.Is(err, backend.ErrNoGroup) {
		t.Fatalf("a deleted group: %v", err)
	}
}

func chordInOrder(t *testing.T, f *fixture) {
	c := newChord(t, f, 12)
	for i := 11; i > 0; i-- {
		c.pending(t, i, success(newID(), fmt.Sprint(i)))
	}
	c.done(t, c.last(t, 0, success(newID(), "0"), "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"))
}

func chordCountsOnce(t *testing.T, f *fixture) {
	c := newChord(t, f, 3)
	again, twice := newID(), newID()
	c.pending(t, 0, success(again, "1"))
	c.pending(t, 0, success(again, "2"))          // a second run with another value
	c.pending(t, 0, failure(again, "ValueError")) // and with another state
	c.pending(t, 1, success(twice, "3"))
	c.last(t, 2, success(twice, "3"), "1", "3", "3") // one id at two places
}

func chordOnce(t *testing.T, f *fixture) {
	const size, copies = 50, 4
	c := newChord(t, f, size)
	ids, values := make([]string, size), make([]string, size)
	for i := range ids {
		ids[i], values[i] = newID(), fmt.Sprint(i)
	}
	joins := make(chan *backend.ChordJoin, size*copies)
	var adding sync.WaitGroup
	for n := range copies {
		adding.Go(func() {
			for k := range size {
				i := (k + n*size/copies) % size
				join, err := c.chorder.AddPart(c.ctx, backend.Part{Group: c.group, Index: &i, Result: success(ids[i], values[i])})
				if err != nil {
					t.Errorf("add part %d: %v", i, err)
				}
				if join != nil {
					joins <- join
				}
			}
		})
	}
	adding.Wait()
	close(joins)
	if len(joins) != 1 {
		t.Fatalf("%d callers joined the chord", len(joins))
	}
	join := <-joins
	wantParts(t, join, values...)
	c.done(t, join)
}

func chordWaitsForSize(t *testing.T, f *fixture) {
	c := newChord(t, f, 0)
	c.pending(t, 0, success(newID(), "0"))
	c.start(t, 2)
	c.last(t, 1, success(newID(), "1"), "0", "1")
}

func chordFailedPart(t *testing.T, f *fixture) {
	c := newChord(t, f, 3)
	bad := failure(newID(), "ValueError", "boom", 42)
	revoked := newID()
	c.pending(t, 1, bad)
	c.pending(t, 0, success(newID(), `"é"`))
	why := protocol.TaskRevoked("terminated").Raw()
	join := c.last(t, 2, &protocol.Result{TaskID: revoked, Status: protocol.StateRevoked, Value: why},
		`"\u00e9"`, string(bad.Value), string(why))
	expect(t, join.Parts[1], bad.TaskID, protocol.StateFailure, string(bad.Value))
	expect(t, join.Parts[2], revoked, protocol.StateRevoked, string(why))
}

func chordGrows(t *testing.T, f *fixture) {
	c := newChord(t, f, 1)
	if err := c.chorder.GrowChord(c.ctx, c.group, 1); err != nil {
		t.Fatalf("grow: %v", err)
	}
	c.pending(t, 0, success(newID(), "0"))
	c.last(t, 1, success(newID(), "1"), "0", "1")
}

func chordLateParts(t *testing.T, f *fixture) {
	c := newChord(t, f, 1)
	id := newID()
	c.done(t, c.last(t, 0, success(id, "0"), "0"))
	c.pending(t, 0, success(id, "0"))
	c.pending(t, 1, success(newID(), "1"))
}

func chordAgain(t *testing.T, f *fixture) {
	c := newChord(t, f, 2)
	one, two := newID(), newID()
	c.pending(t, 0, success(one, "0"))
	c.done(t, c.last(t, 1, success(two, "1"), "0", "1"))
	c.start(t, 2)
	c.pending(t, 0, success(one, "2"))
	c.done(t, c.last(t, 1, success(two, "3"), "2", "3"))
}

func chordFailsOnce(t *testing.T, f *fixture) {
	c := newChord(t, f, 1)
	id := newID()
	join := c.add(t, 0, failure(id, "ValueError"))
	if join == nil {
		t.Fatal("the only part did not join the chord")
	}
	if err := join.Failed(c.ctx); err != nil {
		t.Fatalf("failed: %v", err)
	}
	c.pending(t, 0, failure(id, "ValueError"))
}
