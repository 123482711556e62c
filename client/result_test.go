package client

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

func with(t *testing.T, s *shelf) *Client {
	t.Helper()
	return New(Config{Broker: &recorder{}, Backend: s})
}

// tree is the handle of a result tuple.
func tree(t *testing.T, s *shelf, raw string) *Result {
	t.Helper()
	tuple, err := protocol.DecodeTuple(protocol.Raw(raw))
	if err != nil {
		t.Fatal(err)
	}
	return handle(s, tuple)
}

func TestGet(t *testing.T) {
	s := newShelf(success("a", "1"), success("b", "[2]"), success("c", "null"))
	tests := []struct{ name, tuple, want string }{
		{"task", `[["a", null], null]`, `1`},
		{"null", `[["c", null], null]`, `null`},
		{"group in order", `[["g", null], [[["b", null], null], [["a", null], null]]]`, `[[2], 1]`},
		{"nested groups", `[["g", null], [[["a", null], null], [["h", null], [[["b", null], null], ["c", null]]]]]`, `[1, [[2], null]]`},
		{"one task twice", `[["g", null], [["a", null], ["a", null]]]`, `[1, 1]`},
		{"empty group", `[["g", null], []]`, `[]`},
		{"after what is ignored", `[["a", [["never-stored", null], null]], null]`, `1`},
	}
	for _, tt := range tests {
		s.watches = 0
		var got protocol.Raw
		if err := tree(t, s, tt.tuple).Get(t.Context(), &got); err != nil || string(got) != tt.want || s.watches > 1 {
			t.Errorf("%s: %s with %d watches, %v; want %s", tt.name, got, s.watches, err, tt.want)
		}
	}
}

func TestGetFails(t *testing.T) {
	s := newShelf(success("ok", "1"), failed("bad", protocol.StateFailure), failed("off", protocol.StateRevoked))
	tests := []struct{ name, tuple, id, state string }{
		{"failure", `["bad", null]`, "bad", protocol.StateFailure},
		{"revoked", `["off", null]`, "off", protocol.StateRevoked},
		{"member", `["g", [["ok", null], ["bad", null]]]`, "bad", protocol.StateFailure},
		{"a step before", `[["c", [["b", [["off", null], null]], null]], null]`, "off", protocol.StateRevoked},
		{"a step before a member", `["g", [["ok", null], [["c", [["off", null], null]], null]]]`, "off", protocol.StateRevoked},
	}
	for _, tt := range tests {
		var e *TaskError
		err := tree(t, s, tt.tuple).Get(t.Context(), nil)
		if !errors.As(err, &e) || e.TaskID != tt.id || e.State != tt.state {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if e.Exception.Type != "ValueError" || e.Exception.Module != "builtins" || e.Exception.Error() != "('boom', 1)" || len(e.Exception.Args) != 2 || e.Traceback == "" {
			t.Errorf("%s: %+v", tt.name, e.Exception)
		}
	}
	for tuple, want := range map[string]string{
		`["bad", null]`:                        "task bad: ValueError: ('boom', 1)",
		`[["c", [["off", null], null]], null]`: "result of task c: task off: ValueError: ('boom', 1)",
	} {
		if err := tree(t, s, tuple).Get(t.Context(), nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", tuple, err, want)
		}
	}
	bare := &TaskError{TaskID: "t", Exception: &protocol.Exception{Type: "KeyError"}}
	if got := bare.Error(); got != "task t: KeyError" {
		t.Errorf("without arguments: %s", got)
	}
	// What is never stored is waited for until ctx ends.
	if err := tree(t, s, `["never", null]`).Get(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ignored: %v", err)
	}
}

func TestGetAll(t *testing.T) {
	s := newShelf(success("a", "1"), success("b", "2"))
	c := with(t, s)
	var got []int
	if err := GetAll(t.Context(), &got, c.Result("b"), c.Result("a")); err != nil || !slices.Equal(got, []int{2, 1}) || s.watches != 1 {
		t.Errorf("%v with %d watches, %v", got, s.watches, err)
	}
	if err := GetAll(t.Context(), &got); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestProgress(t *testing.T) {
	s := newShelf(success("a", "1"), failed("b", protocol.StateFailure))
	g := tree(t, s, `["g", [["a", null], ["b", null], ["c", null]]]`)
	n, err := g.Completed(t.Context())
	if err != nil || n != 1 {
		t.Errorf("completed %d, %v", n, err)
	}
	if ready, err := g.Ready(t.Context()); err != nil || ready {
		t.Errorf("ready %v, %v", ready, err)
	}
	s.results["c"] = success("c", "3")
	if ready, err := g.Ready(t.Context()); err != nil || !ready {
		t.Errorf("ready %v, %v", ready, err)
	}
}

func TestChildrenAndParents(t *testing.T) {
	s := newShelf(success("a", "1",
		protocol.Raw(`[["b", null], null]`), protocol.Raw(`[["g", null], [[["m", null], null]]]`)))
	r := tree(t, s, `[["z", [["g", [["a", null], null]], [["m", null]]]], null]`)
	header := r.Parent()
	if header == nil || header.ID != "g" || !slices.Equal(header.Members, []string{"m"}) {
		t.Fatalf("parent %+v", header)
	}
	first := header.Parent()
	if first == nil || first.ID != "a" || first.Members != nil || first.Parent() != nil {
		t.Fatalf("grandparent %+v", first)
	}
	children, err := first.Children(t.Context())
	if err != nil || len(children) != 2 || children[0].ID != "b" || !slices.Equal(children[1].Members, []string{"m"}) {
		t.Errorf("children %+v, %v", children, err)
	}
	members, err := header.Children(t.Context())
	if err != nil || len(members) != 1 || members[0].ID != "m" {
		t.Errorf("members %+v, %v", members, err)
	}
}

func TestForgetTakesTheChain(t *testing.T) {
	s := newShelf(success("a", "1"), success("m", "1"), success("z", "1"))
	if err := tree(t, s, `[["z", [["g", [["a", null], null]], [["m", null]]]], null]`).Forget(t.Context()); err != nil || len(s.results) != 0 {
		t.Errorf("left %v, %v", s.results, err)
	}
}

func TestSaveGroup(t *testing.T) {
	s := newShelf()
	c := with(t, s)
	r, err := c.Send(t.Context(), Group(Task("a"), Task("b")))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := c.RestoreGroup(t.Context(), r.ID)
	if err != nil || !slices.Equal(again.Members, r.Members) || len(r.Members) != 2 {
		t.Errorf("restored %+v, %v", again, err)
	}
	if _, err := c.RestoreGroup(t.Context(), "nobody"); !errors.Is(err, backend.ErrNoGroup) {
		t.Errorf("unknown group: %v", err)
	}
	if _, err := New(Config{}).RestoreGroup(t.Context(), "g"); !errors.Is(err, ErrNoBackend) {
		t.Errorf("no backend: %v", err)
	}
}
