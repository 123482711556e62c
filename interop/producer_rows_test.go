package interop

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// producerRows are what a Go producer sends and a Python worker runs.
var producerRows = []behaviour{
	{name: "plain", smoke: true, run: gives(3, client.Task("py.add", 1, 2))},
	{name: "keyword arguments", run: gives(3, client.Task("py.add", 1), client.Kwarg("y", 2))},
	{name: "countdown", smoke: true, run: func(t testing.TB, r *rig) {
		begun := time.Now()
		gives(3, client.Task("py.add", 1, 2), client.Countdown(time.Second))(t, r)
		if took := time.Since(begun); took < time.Second {
			t.Errorf("ran after %v", took)
		}
	}},
	{name: "eta", run: func(t testing.TB, r *rig) {
		due := time.Now().Add(1200 * time.Millisecond).In(time.FixedZone("", -3*3600-1800))
		gives(3, client.Task("py.add", 1, 2), client.ETA(due))(t, r)
		if time.Now().Before(due) {
			t.Errorf("ran %v early", time.Until(due))
		}
	}},
	{name: "expires in the future", run: func(t testing.TB, r *rig) {
		gives(3, client.Task("py.add", 1, 2), client.Expires(time.Now().Add(time.Minute)))(t, r)
	}},
	{name: "expires while it is delayed", run: func(t testing.TB, r *rig) {
		fails("TaskRevokedError", "expired", client.Task("py.add", 1, 2),
			client.Countdown(1500*time.Millisecond), client.Expires(time.Now().Add(500*time.Millisecond)))(t, r)
	}},
	{name: "priority", run: gives(3, client.Task("py.add", 1, 2), client.Priority(6))},
	{name: "headers", run: gives("green", client.Task("py.header", "x_colour"), client.Header("x_colour", "green"))},
	{name: "soft time limit", run: func(t testing.TB, r *rig) {
		fails("SoftTimeLimitExceeded", nil, client.Task("py.sleep", 10), client.TimeLimit(time.Second, 0))(t, r)
	}},
	{name: "hard time limit", run: fails("TimeLimitExceeded", nil, client.Task("py.sleep", 10), client.TimeLimit(0, time.Second))},
	{name: "unicode and large integers", run: gives("芹菜 🌿 100000000000000000000000000000000000000000",
		client.Task("py.echo", "芹菜 🌿 100000000000000000000000000000000000000000"))},
	{name: "serializer msgpack", run: gives("芹菜", client.Task("py.echo", "芹菜"), client.Serializer("msgpack"))},
	{name: "serializer yaml", run: gives("芹菜", client.Task("py.echo", "芹菜"), client.Serializer("yaml"))},
	{name: "compression gzip", run: gives("芹菜", client.Task("py.echo", "芹菜"), client.Compression("gzip"))},
	{name: "compression zstd", run: gives("芹菜", client.Task("py.echo", "芹菜"), client.Compression("zstd"))},
	{name: "datetime and bytes", since: "5.3", run: typedValues},
	{name: "datetime as text (LegacyValues)", run: legacyValues},
	{name: "stamps", since: "5.3", run: gives(map[string]any{"colour": "green"}, client.Task("py.stamps"), client.Stamp("colour", "green"))},
	{name: "map", run: gives([]any{3.0, 7.0}, client.With(client.Map("py.xsum", [][]int{{1, 2}, {3, 4}}), client.Queue("py")))},
	{name: "starmap", run: gives([]any{3.0, 7.0}, client.With(client.Starmap("py.add", [][]int{{1, 2}, {3, 4}}), client.Queue("py")))},
	{name: "chunks", run: gives([]any{[]any{3.0, 7.0}, []any{11.0}},
		client.With(client.Chunks("py.add", [][]int{{1, 2}, {3, 4}, {5, 6}}, 2), client.Queue("py")))},
	{name: "exception class and arguments", smoke: true, run: fails("KeyError", "k", client.Task("py.raises", "builtins", "KeyError", "k"))},
	{name: "retry", run: gives(2, client.Task("py.retry", 2))},
	{name: "unknown task", run: fails("NotRegistered", nil, client.Task("py.nobody.has.this"))},
	{name: "link", run: func(t testing.TB, r *rig) {
		id := uuid.NewString()
		gives(2, client.Task("py.add", 1, 1), client.Link(client.With(client.Task("py.add", 40), client.ID(id))))(t, r)
		follows(t, r, id, 42)
	}, needs: chords},
	{name: "link_error", run: func(t testing.TB, r *rig) {
		id := uuid.NewString()
		fails("ValueError", "bad", client.Task("py.raises", "builtins", "ValueError", "bad"),
			client.LinkError(client.With(client.Task("py.side"), client.Immutable(), client.ID(id))))(t, r)
		follows(t, r, id, "py")
	}, needs: chords},
	{name: "ignore_result", since: "5.2", run: ignored, needs: chords},
	{name: "revoke", run: revokedByGo},
	{name: "chain", smoke: true, run: gives(113, client.Chain(client.Task("py.add", 1, 2), client.Task("py.add", 10), client.Task("py.add", 100)))},
	{name: "group", smoke: true, run: gives([]any{2.0, 4.0}, client.Group(client.Task("py.add", 1, 1), client.Task("py.add", 2, 2)))},
	{name: "empty group", run: gives([]any{}, client.Group())},
	{name: "chord", smoke: true, needs: chords, run: gives(6, client.Chord(pyAdds(3), client.Task("py.xsum")))},
	{name: "chord of 100", needs: chords, run: gives(9900, client.Chord(pyAdds(100), client.Task("py.xsum")))},
	{name: "chord of one", needs: chords, run: givesOneOf(client.Chord(pyAdds(1), client.Task("py.echo")), 0.0, []any{0.0})},
	{name: "empty chord", needs: chords, run: gives(0, client.Chord(nil, client.Task("py.xsum")))},
	{name: "group in a chain", needs: chords, run: gives(107, client.Chain(client.Task("py.add", 1, 1),
		client.Group(client.Task("py.add", 1), client.Task("py.add", 2)), client.Task("py.xsum"), client.Task("py.add", 100)))},
	{name: "chord in a chord", needs: chords, run: gives(9, client.Chord([]protocol.Signature{
		client.Chord(pyAdds(3), client.Task("py.xsum")), client.Task("py.add", 1, 2)}, client.Task("py.xsum")))},
	{name: "chord with a chain as body", needs: chords, run: gives(8, client.Chord(pyAdds(3),
		client.Chain(client.Task("py.xsum"), client.Task("py.add", 1), client.Task("py.add", 1))))},
	{name: "error in a chord's header", needs: chords, run: fails("ChordError", nil,
		client.Chord([]protocol.Signature{client.Task("py.add", 1, 1), client.Task("py.raises", "builtins", "ValueError", "bad")}, client.Task("py.xsum")))},
	{name: "chord over Go and Python", smoke: true, needs: chords, run: func(t testing.TB, r *rig) {
		header := append(pyAdds(5), client.Task("go.add", 1, 1), client.Task("both.add", 1, 1))
		gives(24, client.Chord(header, client.Task("py.xsum")))(t, r)
		gives(24, client.Chord(header, client.Task("go.xsum")))(t, r)
	}},
	{name: "one chord sent twice", needs: chords, run: chordTwice},
}

// pyAdds are n members of a header: 0, 2, 4 ...
func pyAdds(n int) []protocol.Signature {
	header := make([]protocol.Signature, n)
	for i := range header {
		header[i] = client.Task("py.add", i, i)
	}
	return header
}

// gives sends a signature and expects its result, as JSON has it: numbers are
// compared by value.
func gives(want any, sig protocol.Signature, opts ...client.Option) func(testing.TB, *rig) {
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	return givesOneOf(client.With(sig, opts...), want)
}

func givesOneOf(sig protocol.Signature, wants ...any) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		ctx := waitFor(t)
		result, err := r.client.Send(ctx, sig)
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if err := result.Get(ctx, &got); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if reflect.DeepEqual(got, want) || fmt.Sprint(got) == fmt.Sprint(want) {
				return
			}
		}
		t.Errorf("got %#v, want %#v", got, wants)
	}
}

// fails sends a signature and expects an exception class and, unless nil, its
// first argument.
func fails(class string, arg any, sig protocol.Signature, opts ...client.Option) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		ctx := waitFor(t)
		result, err := r.client.Send(ctx, sig, opts...)
		if err != nil {
			t.Fatal(err)
		}
		err = result.Get(ctx, nil)
		var failed *client.TaskError
		if !errors.As(err, &failed) {
			t.Fatalf("got %v, want %s", err, class)
		}
		if failed.Exception.Type != class {
			t.Errorf("got %s, want %s", failed.Exception.Type, class)
		}
		if arg != nil && (len(failed.Exception.Args) == 0 || fmt.Sprint(failed.Exception.Args[0]) != fmt.Sprint(arg)) {
			t.Errorf("its arguments are %v, want %v", failed.Exception.Args, arg)
		}
	}
}
