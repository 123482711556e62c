package protocol_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

func apply(t *testing.T, sig protocol.Signature, args []any, opts protocol.Object) protocol.Plan {
	t.Helper()
	plan, err := protocol.Apply(sig, args, opts, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func with(sig protocol.Signature, name string, value any) protocol.Signature {
	sig = sig.Clone()
	sig.Options = sig.Options.Set(name, value)
	return sig
}

// A group with steps behind it, which Celery would send on to every member, is a
// chord: the steps run once, with the list of results.
func TestGroupWithStepsBehindIt(t *testing.T) {
	rest := []protocol.Signature{with(plain("last"), "task_id", "L"), with(plain("next"), "task_id", "N")}
	plan := apply(t, group(plain("a"), plain("b")), []any{1}, protocol.Object{{Name: "chain", Value: rest}})
	if want := "chord of 2\na(1,) #0 => next\nb(1,) #1 => next\n"; show(plan) != want {
		t.Errorf("got\n%swant\n%s", show(plan), want)
	}
	body := plan.Chords[0].Body
	if id := body.Options.String("task_id"); id != "N" || plan.ID != "N" {
		t.Errorf("the body's id is %s, the result's %s, want N", id, plan.ID)
	}
	if after, err := protocol.Marshal(body); err != nil || !strings.Contains(string(after), `"chain": [{"task": "last"`) {
		t.Errorf("body %s (%v), want last behind it", after, err)
	}
	alone := apply(t, group(plain("a")), nil, protocol.Object{{Name: "chain", Value: rest}})
	if want := "a() #0 | next | last\n"; show(alone) != want {
		t.Errorf("a group of one: got\n%swant\n%s", show(alone), want)
	}
}

// The body of a chord in a header is a part of the outer chord, whatever group the
// options name.
func TestPartStaysInItsGroup(t *testing.T) {
	inner := chord(group(plain("a")), group(chord(group(plain("b")), plain("c")), plain("d")))
	first := apply(t, chord(group(inner), plain("end")), nil, nil)
	task := first.Sends[0].Task
	second := apply(t, *task.Chord, []any{[]any{1}}, protocol.Object{{Name: "root_id", Value: "r"}})
	outer := first.Chords[0]
	if outer.Size != 2 {
		t.Fatalf("the outer chord waits for %d parts, want 2", outer.Size)
	}
	if got := second.Sends[0].Task.Chord.Options.String("group_id"); got != outer.Group {
		t.Errorf("c is in group %s, want %s", got, outer.Group)
	}
	if got := second.Sends[1].Task.Group; got != outer.Group {
		t.Errorf("d is in group %s, want %s", got, outer.Group)
	}
}

// A header whose results are groups is saved before it is sent, so that the body
// gets lists in a list.
func TestComplexHeaderIsSaved(t *testing.T) {
	plan := apply(t, chord(group(chain(plain("a"), group(plain("b"), plain("c"))), plain("d")), plain("end")), nil, nil)
	if len(plan.Groups) != 1 || plan.Groups[0].ID != plan.Chords[0].Group {
		t.Fatalf("groups %+v, want one for the chord %s", plan.Groups, plan.Chords[0].Group)
	}
	members := plan.Groups[0].Tuple.Members
	if len(members) != 2 || !members[0].Group || len(members[0].Members) != 2 || members[1].Group {
		t.Errorf("saved %s, want a group of two and a task", plan.Groups[0].Tuple.Raw())
	}
	if plan.Chords[0].Size != 3 {
		t.Errorf("size %d, want 3", plan.Chords[0].Size)
	}
	if simple := apply(t, chord(group(plain("a")), plain("end")), nil, nil); len(simple.Groups) != 0 {
		t.Errorf("a simple header was saved: %v", simple.Groups)
	}
}

func TestChainComposesAsPython(t *testing.T) {
	a, b, c, d := plain("a"), plain("b"), plain("c"), plain("d")
	chain := protocol.Chain
	for _, tt := range []struct {
		name, want string
		sig        protocol.Signature
	}{
		{"nested", "a|b|c", chain(a, chain(b, c))},
		{"group and task", "([b c]>d)", chain(group(b, c), d)},
		{"after a chord", "a|([b c]>d|a)", chain(a, group(b, c), d, a)},
		{"two groups", "([a b]>[c])", chain(group(a, b), group(c))},
		{"chord and group", "([a b]>c|[a d])", chain(chord(group(a, b), c), group(a, d))},
		{"group of one", "a|b|c", chain(a, group(b), c)},
		{"empty group", "a|c", chain(a, group(), c)},
		{"group alone", "[a b]", chain(group(a, b))},
		{"nothing", "", chain()},
		{"chord and chord", "([a]>b)|([c]>d)", chain(chord(group(a), b), chord(group(c), d))},
		{"chord and nested groups of one", "([a b]>([c]>a|b))", chain(group(a, b), chord(group(c), a), group(group(b)))},
		{"groups, then chords", "a|([b c]>d|([a b]>c))", chain(a, group(b, c), d, group(a, b), c)},
	} {
		if got := sketch(t, tt.sig); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// sketch writes a|b for a chain, [a b] for a group and (header>body) for a chord.
func sketch(t *testing.T, sig protocol.Signature) string {
	t.Helper()
	list := func(name string) []string {
		v, _ := sig.Kwargs.Get(name)
		sigs, one := v.([]protocol.Signature)
		if s, ok := v.(protocol.Signature); ok && !one {
			sigs = []protocol.Signature{s}
		}
		out := make([]string, len(sigs))
		for i, s := range sigs {
			out[i] = sketch(t, s)
		}
		return out
	}
	switch sig.SubtaskType {
	case protocol.SubtaskChain:
		return strings.Join(list("tasks"), "|")
	case protocol.SubtaskGroup:
		return "[" + strings.Join(list("tasks"), " ") + "]"
	case protocol.SubtaskChord:
		return "([" + strings.Join(list("header"), " ") + "]>" + strings.Join(list("body"), "") + ")"
	}
	return sig.Task
}

func TestOptionsOfATask(t *testing.T) {
	env := testEnv()
	env.RootID, env.ParentID, env.ReplyTo = "root", "parent", "answers"
	sig := protocol.Signature{Task: "t", Args: []any{1}, Options: protocol.Object{
		{Name: "task_id", Value: "id"}, {Name: "serializer", Value: "msgpack"}, {Name: "compression", Value: "zstd"},
		{Name: "shadow", Value: "shade"}, {Name: "retries", Value: 3}, {Name: "time_limit", Value: 9.5}, {Name: "soft_time_limit", Value: 5},
		{Name: "countdown", Value: 0}, {Name: "eta", Value: "2026-02-01T00:00:00+00:00"}, {Name: "expires", Value: 1.5},
		{Name: "priority", Value: 4}, {Name: "delivery_mode", Value: "transient"}, {Name: "argsrepr", Value: "(secret)"},
		{Name: "ignore_result", Value: false}, {Name: "exchange", Value: "x"}, {Name: "routing_key", Value: "k"},
		{Name: "headers", Value: map[string]any{"mine": 1, "task": "other"}},
		{Name: "stamped_headers", Value: []string{"one", "many", "missing"}}, {Name: "one", Value: "1"}, {Name: "many", Value: []int{1, 2}},
	}}
	plan, err := protocol.Apply(sig, nil, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	send, got := plan.Sends[0], *plan.Sends[0].Task
	four, ignore := 4, false
	want := protocol.Task{
		Lang: "go", Name: "t", ID: "id", Shadow: "shade", ETA: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		Expires: env.Now.Add(1500 * time.Millisecond), Expiration: "1500", Retries: 3, HardLimit: 9.5, SoftLimit: 5,
		RootID: "root", ParentID: "parent", ReplyTo: "answers", ArgsRepr: "(secret)", KwargsRepr: "{}", Origin: env.Origin,
		IgnoreResult: &ignore, Priority: &four, DeliveryMode: protocol.Transient, Version: 2, CorrelationID: "id",
		Serializer: "msgpack", Compression: "zstd",
		StampedHeaders: []string{"one", "many", "missing"},
		Stamps:         protocol.Object{{Name: "one", Value: "1"}, {Name: "many", Value: []any{json.Number("1"), json.Number("2")}}},
		Headers:        protocol.Object{{Name: "mine", Value: json.Number("1")}},
		Args:           []protocol.Raw{protocol.Raw("1")}, Kwargs: []protocol.RawField{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("task\n%+v\nwant\n%+v", got, want)
	}
	if send.Queue != "" || send.Exchange != "x" || send.RoutingKey != "k" || send.RouteName != "t" {
		t.Errorf("sent to %+v", send)
	}
}

func TestLegacyValues(t *testing.T) {
	env := testEnv()
	env.LegacyValues = true
	when := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	plan, err := protocol.Apply(plain("t", when), nil, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(plan.Sends[0].Task.Args[0]); strings.Contains(got, "__type__") {
		t.Errorf("argument %s, want none of kombu's wrappers", got)
	}
}

// What a map calls decides where it goes.
func TestMapIsRoutedAsItsTask(t *testing.T) {
	sig := protocol.Signature{Task: protocol.TaskMap, Immutable: true, Kwargs: protocol.Object{{Name: "task", Value: plain("inner")}, {Name: "it", Value: []int{1}}}}
	if got := apply(t, group(sig, plain("x")), nil, nil).Sends[0].RouteName; got != "inner" {
		t.Errorf("routed as %s, want inner", got)
	}
}

func TestRefused(t *testing.T) {
	deep := plain("x")
	for range 10_000 {
		deep = chain(plain("a"), group(deep, plain("b")))
	}
	raw := strings.Repeat(`{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [`, 10_000)
	tests := map[string]struct {
		sig  protocol.Signature
		opts protocol.Object
	}{
		"nested too deep":  {sig: deep},
		"deep JSON":        {sig: group(protocol.Signature{Task: "g", SubtaskType: protocol.SubtaskGroup, Kwargs: protocol.Object{{Name: "tasks", Value: protocol.Raw(raw)}}})},
		"empty chain":      {sig: chain()},
		"chord, no body":   {sig: protocol.Signature{Task: protocol.TaskChord, SubtaskType: protocol.SubtaskChord, Kwargs: protocol.Object{{Name: "header", Value: []protocol.Signature{plain("a")}}}}},
		"link on a group":  {sig: group(plain("a")), opts: protocol.Object{{Name: "link", Value: plain("b")}}},
		"eta is no time":   {sig: with(plain("a"), "eta", "soon")},
		"unusable value":   {sig: plain("a", make(chan int))},
		"chunks of zero":   {sig: protocol.Signature{Task: protocol.TaskChunks, SubtaskType: protocol.SubtaskChunks, Kwargs: protocol.Object{{Name: "task", Value: plain("a")}, {Name: "it", Value: []int{1}}, {Name: "n", Value: 0}}}},
		"members no tasks": {sig: protocol.Signature{Task: protocol.TaskGroup, SubtaskType: protocol.SubtaskGroup, Kwargs: protocol.Object{{Name: "tasks", Value: 1}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if plan, err := protocol.Apply(tt.sig, nil, tt.opts, testEnv()); err == nil {
				t.Errorf("no error, planned %s", show(plan))
			}
		})
	}
}

// Null options of a caller do not take away what the signature has.
func TestNullOptionsDoNotCount(t *testing.T) {
	null := protocol.Object{{Name: "priority", Value: protocol.Raw("null")}, {Name: "queue", Value: nil}}
	sig := with(with(plain("a"), "priority", 3), "queue", "q")
	for _, s := range []protocol.Signature{sig, chain(sig), group(sig), chord(group(plain("h")), sig)} {
		plan := apply(t, s, nil, null)
		send := plan.Sends[0]
		if s.SubtaskType == protocol.SubtaskChord {
			continue // the body comes later
		}
		if send.Queue != "q" || send.Task.Priority == nil || *send.Task.Priority != 3 {
			t.Errorf("%s: queue %q, priority %v", s.Task, send.Queue, send.Task.Priority)
		}
	}
}

// The errbacks of a group that is a chord's body are its members' and its own,
// each once.
func TestErrbacksOfAGroupBody(t *testing.T) {
	member := with(with(plain("a"), "task_id", "A"), "link_error", []protocol.Signature{plain("e1"), plain("e2")})
	body := with(group(member, with(plain("b"), "task_id", "B")), "link_error", []protocol.Signature{plain("e2"), plain("e3")})
	got := map[string][]string{}
	for _, e := range protocol.Errbacks(body) {
		for _, s := range e.Errbacks {
			got[e.ID] = append(got[e.ID], s.Task)
		}
	}
	want := map[string][]string{"A": {"e1", "e2", "e3"}, "B": {"e2", "e3"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("errbacks %v, want %v", got, want)
	}
}

// A result tuple names no more ancestors than Python can read.
func TestLongChainHasAShortTuple(t *testing.T) {
	steps := make([]protocol.Signature, 3000)
	for i := range steps {
		steps[i] = plain("s")
	}
	plan := apply(t, chain(steps...), nil, nil)
	if _, err := protocol.DecodeTuple(plan.Result); err != nil {
		t.Errorf("the result of a long chain cannot be read: %v", err)
	}
	if n := len(plan.Sends[0].Task.Chain); n != 2999 {
		t.Errorf("%d steps follow, want 2999", n)
	}
}

func TestStampReachesAllTasks(t *testing.T) {
	sig, err := protocol.Stamp(with(chain(plain("a"), with(plain("b"), "link", plain("cb"))), "link_error", plain("e")),
		protocol.Object{{Name: "tenant", Value: 7}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Marshal(sig)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), `"tenant": 7`); n != 4 {
		t.Errorf("%d stamps in %s, want 4", n, raw)
	}
	task := apply(t, sig, nil, nil).Sends[0].Task
	if !slices.Equal(task.StampedHeaders, []string{"tenant"}) {
		t.Errorf("stamped headers %v", task.StampedHeaders)
	}
}
