package backendtest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/umbel-go/umbel/protocol"
)

func unknownIsPending(t *testing.T, f *fixture) {
	id := newID()
	if r := f.get(t, id); r.TaskID != id || r.Status != protocol.StatePending || r.Ready() {
		t.Fatalf("got %+v", r)
	}
}

func storedAsPut(t *testing.T, f *fixture) {
	whole := success(newID(), `{"n": 1.0, "big": 123456789012345678901234567890, "nan": NaN}`)
	whole.GroupID, whole.ParentID = newID(), newID()
	whole.Children = []protocol.Raw{protocol.ResultTuple(newID(), nil)}
	whole.Extra = protocol.Object{{Name: "name", Value: "demo.add"}, {Name: "retries", Value: 2}}
	null := success(newID(), "null")
	for _, put := range []*protocol.Result{
		whole, null, started(newID()), failure(newID(), "ValueError", "boom", 42),
		{TaskID: newID(), Status: "PROGRESS", Value: protocol.Raw(`{"done": 3}`)},
	} {
		f.put(t, put)
		same(t, f.get(t, put.TaskID), put)
	}
}

// same compares results by what is written of them.
func same(t *testing.T, got, want *protocol.Result) {
	t.Helper()
	g, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Fatalf("got  %s\nwant %s", g, w)
	}
}

func manyAtOnce(t *testing.T, f *fixture) {
	results := make([]*protocol.Result, 300)
	for i := range results {
		results[i] = success(newID(), fmt.Sprint(i))
	}
	f.put(t, results...)
	for _, r := range results {
		same(t, f.get(t, r.TaskID), r)
	}
}

func successIsKept(t *testing.T, f *fixture) {
	id := newID()
	f.put(t, started(id), success(id, "1"))
	f.put(t, success(id, "2"))
	f.put(t, failure(id, "ValueError"))
	f.put(t, started(id))
	expect(t, f.get(t, id), id, protocol.StateSuccess, "1")
}

func othersAreReplaced(t *testing.T, f *fixture) {
	id := newID()
	for _, status := range []string{
		protocol.StateStarted, protocol.StateRetry, protocol.StateFailure, protocol.StateRevoked, protocol.StateSuccess,
	} {
		r := success(id, "null")
		r.Status = status
		f.put(t, r)
		expect(t, f.get(t, id), id, status, "null")
	}
}

func forget(t *testing.T, f *fixture) {
	id := newID()
	f.put(t, success(id, "1"))
	for range 2 {
		if err := f.client.Forget(f.ctx, id); err != nil {
			t.Fatalf("forget: %v", err)
		}
	}
	expect(t, f.get(t, id), id, protocol.StatePending, "null")
}
