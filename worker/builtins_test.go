package worker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// result is the value stored last, "STATE value".
func (s *stage) result() string {
	s.t.Helper()
	if len(s.backend.stored) == 0 {
		return "nothing"
	}
	r := s.backend.stored[len(s.backend.stored)-1]
	if r.Status == protocol.StateSuccess {
		return r.Status + " " + string(r.Value)
	}
	return r.Status + " " + protocol.DecodeException(r.Value).Repr()
}

func TestBuiltins(t *testing.T) {
	raw := func(s string) protocol.Raw { return protocol.Raw(s) }
	mapped := func(items string) protocol.Signature {
		return client.With(client.Task(protocol.TaskMap), client.Kwarg("task", client.Task("double")), client.Kwarg("it", raw(items)))
	}
	starmapped := func(task, items string) protocol.Signature {
		return client.With(client.Task(protocol.TaskStarmap), client.Kwarg("task", client.Task(task)), client.Kwarg("it", raw(items)))
	}
	tests := []struct {
		name string
		sig  protocol.Signature
		want string
	}{
		{"map", mapped("[1, 2, 3]"), "SUCCESS [2, 4, 6]"},
		{"map of our client", client.Map("double", []int{4}), "SUCCESS [8]"},
		{"map of nothing", mapped("[]"), "SUCCESS []"},
		{"map by position", client.Task(protocol.TaskMap, client.Task("double"), []int{5}), "SUCCESS [10]"},
		{"map with a bad item", mapped(`[1, "x"]`), "FAILURE TypeError"},
		{"map of no list", mapped("3"), "FAILURE TypeError"},
		{"starmap", starmapped("add", "[[1, 2], [3, 4]]"), "SUCCESS [3, 7]"},
		{"starmap with an item that is no list", starmapped("add", "[1]"), "FAILURE TypeError"},
		{"starmap of a task that is not ours", starmapped("other", "[[1]]"), "FAILURE NotRegistered"},
		{"map sees the request", client.Map("whoami", []int{0}), `SUCCESS ["the-map the-map"]`},
		{"accumulate", client.Task(protocol.TaskAccumulate, 1, "b"), `SUCCESS [1, "b"]`},
		{"accumulate index", client.With(client.Task(protocol.TaskAccumulate, []int{1, 2}), client.Kwarg("index", 0)), "SUCCESS [1, 2]"},
		{"accumulate from the end", client.With(client.Task(protocol.TaskAccumulate, 1, 2), client.Kwarg("index", -1)), "SUCCESS 2"},
		{"accumulate beyond", client.With(client.Task(protocol.TaskAccumulate, 1), client.Kwarg("index", 1)), "FAILURE IndexError"},
		{"chain", client.Task("celery.chain"), "FAILURE NotImplementedError('chain is not a real task')"},
		{"backend_cleanup", client.Task("celery.backend_cleanup"), "SUCCESS null"},
		{"chunks without a task", client.Task(protocol.TaskChunks), "FAILURE TypeError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{})
			Must(Func(s.w, "double", func(_ context.Context, x int) (int, error) { return 2 * x, nil }))
			Must(Func(s.w, "add", func(_ context.Context, x, y int) (int, error) { return x + y, nil }))
			Must(s.w.Register("whoami", func(ctx context.Context, t *Task) (any, error) {
				return FromContext(ctx).ID + " " + t.ID, nil
			}))
			tt.sig.Immutable = false // as a message it has no such flag
			s.send(tt.sig, client.ID("the-map"))
			if got := s.result(); !strings.HasPrefix(got, tt.want) {
				t.Errorf("stored %s, want %s", got, tt.want)
			}
		})
	}
}

func TestChunksSendsStarmaps(t *testing.T) {
	s := newStage(t, Config{})
	s.send(client.Task(protocol.TaskChunks, client.Task("add"), [][]int{{1, 2}, {3, 4}, {5, 6}}, 2), client.ID("c"))
	sent := s.wantSent(protocol.TaskStarmap, protocol.TaskStarmap)
	if got := sent[1].KwargsRepr; !strings.Contains(got, "'it': [[5, 6]]") || sent[0].ParentID != "c" {
		t.Errorf("second part %s, parent %q", got, sent[0].ParentID)
	}
	if tuple, err := protocol.DecodeTuple(s.backend.stored[0].Value); err != nil || len(tuple.Members) != 2 {
		t.Errorf("result %s (%v), want the tuple of two", s.backend.stored[0].Value, err)
	}
	if n := len(s.backend.stored[0].Children); n != 1 {
		t.Errorf("%d children, want the group", n)
	}
}

func TestLegacyGroup(t *testing.T) {
	s := newStage(t, Config{})
	members := []protocol.Signature{
		client.With(client.Task("a", 1), client.ID("A")), client.With(client.Task("b"), client.ID("B"), client.Immutable()),
	}
	tuple := `[["g", null], [[["A", null], null], [["B", null], null]]]`
	s.send(client.With(client.Task(protocol.TaskGroup, members), client.Kwarg("result", protocol.Raw(tuple)),
		client.Kwarg("group_id", "g"), client.Kwarg("partial_args", []int{9})))
	sent := s.wantSent("a", "b")
	if sent[0].ArgsRepr != "(9, 1)" || sent[1].ArgsRepr != "()" || sent[0].Group != "g" || sent[1].ID != "B" {
		t.Errorf("sent %s %s to group %s, id %s", sent[0].ArgsRepr, sent[1].ArgsRepr, sent[0].Group, sent[1].ID)
	}
	if got := s.result(); got != "SUCCESS "+tuple {
		t.Errorf("stored %s, want the tuple that came with it", got)
	}
}

func TestLegacyChord(t *testing.T) {
	s := newStage(t, Config{})
	s.send(client.Task(protocol.TaskChord, []protocol.Signature{client.Task("a"), client.Task("b")}, client.With(client.Task("body"), client.ID("B")), []int{5}))
	sent := s.wantSent("a", "b")
	if sent[0].Chord == nil || sent[0].Chord.Task != "body" || sent[1].ArgsRepr != "(5,)" || s.backend.sizes[sent[0].Group] != 2 {
		t.Errorf("sent %+v, sizes %v", sent[0], s.backend.sizes)
	}
	if got := s.result(); !strings.HasPrefix(got, `SUCCESS [["B", `) {
		t.Errorf("stored %s, want the tuple of the body", got)
	}
}

// unlocking is the message that Celery sends with a chord for a backend that
// cannot join.
func unlocking(opts ...client.Option) protocol.Signature {
	body := client.With(client.Task("body", "own"), client.ID("B"), client.LinkError(client.Task("errback")))
	header := protocol.Raw(`[[["A", null], null], [["G", null], [[["C", null], null], [["D", null], null]]]]`)
	sig := client.With(client.Task(protocol.TaskChordUnlock, "g", body), client.ID("U"), client.Kwarg("interval", 2), client.Kwarg("max_retries", nil),
		client.Kwarg("result", header), client.Kwarg("_chord_unlock_exchange_type", "direct"))
	return client.With(sig, opts...)
}

func (s *stage) finished(id, status, value string) {
	s.backend.stored = append(s.backend.stored, &protocol.Result{TaskID: id, Status: status, Value: protocol.Raw(value)})
}

func TestChordUnlockPolls(t *testing.T) {
	s := newStage(t, Config{})
	s.finished("A", protocol.StateSuccess, "1")
	s.finished("C", protocol.StateSuccess, `"c"`)
	before := time.Now()
	s.send(unlocking())
	again := s.wantSent(protocol.TaskChordUnlock)[0]
	if wait := again.ETA.Sub(before); again.Retries != 1 || wait < 2*time.Second || wait > 10*time.Second {
		t.Errorf("try %d after %v, want the first after 2 s", again.Retries, wait)
	}
	if strings.Contains(again.KwargsRepr, "_chord_unlock_exchange_type") || !strings.Contains(again.KwargsRepr, "interval") {
		t.Errorf("the retry has %s", again.KwargsRepr)
	}
	s.finished("D", protocol.StateSuccess, "null")
	again.ETA = time.Time{} // due
	s.deliver(again)
	body := s.wantSent(protocol.TaskChordUnlock, "body")[1]
	if want := "([1, ['c', None]], 'own')"; body.ArgsRepr != want || body.ID != "B" {
		t.Errorf("body %s%s, want B%s", body.ID, body.ArgsRepr, want)
	}
}

func TestChordUnlockFails(t *testing.T) {
	tests := []struct {
		name string
		sig  protocol.Signature
		d    string // state of the last member
		want string
	}{
		{"member", unlocking(), protocol.StateFailure, "ChordError(\"Dependency D raised ValueError('no')\")"},
		{"too many retries", unlocking(client.Kwarg("max_retries", 3), client.Retries(3)), protocol.StateStarted, "ChordError(\"chord_unlock could not be retried: the chord's header is not finished\")"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.finished("A", protocol.StateSuccess, "1")
			s.finished("C", protocol.StateSuccess, "2")
			s.finished("D", tt.d, `{"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}`)
			s.send(tt.sig)
			s.wantSent("errback")
			if got := s.result(); got != "FAILURE "+tt.want || s.backend.stored[3].TaskID != "B" {
				t.Errorf("stored %s for %s, want %s for B", got, s.backend.stored[3].TaskID, tt.want)
			}
		})
	}
}

// A chord that cannot be unlocked at all is an error of the message.
func TestChordUnlockArguments(t *testing.T) {
	for i, sig := range []protocol.Signature{
		client.Task(protocol.TaskChordUnlock), client.Task(protocol.TaskChordUnlock, "g", 5),
		client.Task(protocol.TaskChordUnlock, "g", client.Task("b"), "soon", nil, []any{}),
		client.Task(protocol.TaskChordUnlock, "g", client.Task("b"), nil, nil, []any{7}),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := newStage(t, Config{})
			s.send(client.With(sig, client.StoreResult()))
			if got := s.result(); !strings.HasPrefix(got, "FAILURE TypeError") {
				t.Errorf("stored %s, want a TypeError", got)
			}
		})
	}
}
