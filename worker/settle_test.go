package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

var errBoom = Exception("builtins", "ValueError", "boom")

// Callbacks and the next step go out before the result is stored, as children
// of the task.
func TestSuccessOrder(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", 5, nil, AcksLate(true))
	s.backend.put = func(r *protocol.Result) error {
		s.wantSent("cb1", "cb2", "b")
		return nil
	}
	d := s.send(client.Chain(
		client.With(client.Task("a"), client.Link(client.Task("cb1"), client.Task("cb2"))),
		client.Task("b", 7), client.Task("c"),
	))
	d.want(t, "ack")
	sent := s.wantSent("cb1", "cb2", "b")
	a := s.backend.stored[0]
	if a.Status != protocol.StateSuccess || string(a.Value) != "5" || len(a.Children) != 2 {
		t.Errorf("stored %+v", a)
	}
	for i, child := range sent {
		if child.ParentID != a.TaskID || child.RootID != a.TaskID || string(child.Args[0]) != "5" {
			t.Errorf("follow-up %d: parent %q, root %q, args %s", i, child.ParentID, child.RootID, child.Args)
		}
	}
	if sent[0].Group == "" || sent[0].Group != sent[1].Group || *sent[1].GroupIndex != 1 {
		t.Errorf("two callbacks are no group: %q, %q", sent[0].Group, sent[1].Group)
	}
	if step := sent[2]; len(step.Args) != 2 || len(step.Chain) != 1 || step.Chain[0].Task != "c" {
		t.Errorf("next step: args %s, chain %v", step.Args, step.Chain)
	}
	if next, err := protocol.DecodeTuple(a.Children[1]); err != nil || next.ID != sent[2].ID {
		t.Errorf("second child is %+v, want %s (%v)", next, sent[2].ID, err)
	}
	s.wantEvents("task-received", "task-started", "task-succeeded")
}

// What is stored of an ignored result, by outcome.
func TestIgnoredResults(t *testing.T) {
	yes, no := true, false
	retry := Retry(errBoom, time.Minute)
	tests := []struct {
		name     string
		header   *bool
		err      error
		opts     []Option
		wantKept bool
	}{
		{"nothing said", nil, nil, nil, true},
		{"header true", &yes, nil, nil, false},
		{"registration", nil, nil, []Option{IgnoreResult()}, false},
		{"header false over registration", &no, nil, []Option{IgnoreResult()}, true},
		{"failure", &yes, errBoom, nil, false},
		{"failure, errors wanted", &yes, errBoom, []Option{StoreErrors(true)}, true},
		{"success, errors wanted", &yes, nil, []Option{StoreErrors(true)}, false},
		{"retry", &yes, retry, nil, false},
		{"retry, errors wanted", &yes, retry, []Option{StoreErrors(true)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{})
			s.task("a", 1, tt.err, tt.opts...)
			s.deliver(&protocol.Task{Name: "a", ID: "1", IgnoreResult: tt.header})
			if kept := len(s.backend.stored) == 1; kept != tt.wantKept {
				t.Errorf("stored: %v, want %v", kept, tt.wantKept)
			}
		})
	}
}

// An ignored result neither keeps the errbacks nor the part of a chord away.
func TestIgnoredFailureIsStillHeardOf(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, errBoom, IgnoreResult())
	s.backend.sizes["g"] = 2
	body := client.With(client.Task("body"), client.ID("body-id"))
	s.deliver(&protocol.Task{Name: "a", ID: "1", Group: "g", Chord: &body, Errbacks: []protocol.Signature{client.Task("err")}})
	sent := s.wantSent("err")
	if string(sent[0].Args[0]) != `"1"` || sent[0].Group == "" {
		t.Errorf("errback: args %s, group %q", sent[0].Args, sent[0].Group)
	}
	if len(s.backend.parts["g"]) != 1 {
		t.Error("no part for the chord")
	}
	s.wantStates()
}

func TestResultExtendedAndStarted(t *testing.T) {
	s := newStage(t, Config{ResultExtended: true, TrackStarted: true})
	s.task("a", 1, nil)
	s.task("quiet", 1, nil, TrackStarted(false))
	s.deliver(&protocol.Task{Name: "a", ID: "1", Args: []protocol.Raw{protocol.Raw("2")},
		StampedHeaders: []string{"who"}, Stamps: protocol.Object{{Name: "who", Value: "me"}}})
	s.deliver(&protocol.Task{Name: "quiet", ID: "2"})
	s.deliver(&protocol.Task{Name: "a", ID: "3", IgnoreResult: new(bool)})
	s.wantStates("1 STARTED", "1 SUCCESS", "2 SUCCESS", "3 STARTED", "3 SUCCESS")
	if got, want := string(s.backend.stored[0].Value), fmt.Sprintf(`{"pid": %d, "hostname": "w@test"}`, s.w.pid()); got != want {
		t.Errorf("STARTED holds %s, want %s", got, want)
	}
	wire, err := s.backend.stored[1].Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := protocol.DecodeResult(wire)
	if err != nil {
		t.Fatal(err)
	}
	e := read.Extended()
	if e.Name != "a" || string(e.Args) != "[2]" || e.Worker != "w@test" || e.Queue != "q" || !slices.Equal(e.StampedHeaders, []string{"who"}) {
		t.Errorf("extended %+v", e)
	}
}

func TestRetryKeepsTheMessage(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, Retry(errBoom, time.Minute), AcksLate(true))
	five, ignore := 5, true
	before := time.Now()
	d := s.deliver(&protocol.Task{
		Serializer: "msgpack", Compression: "zlib",
		Name: "a", ID: "1", Group: "g", GroupIndex: &five, Retries: 1, Priority: &five, IgnoreResult: &ignore, Shadow: "sh",
		ArgsRepr: "(***)", KwargsRepr: "{***}", Args: []protocol.Raw{protocol.Raw(`"secret"`)}, ReplyTo: "me", Origin: "gen1@h",
		HardLimit: 9, SoftLimit: 8, Expires: before.Add(time.Hour), ReplacedTaskNesting: 2,
		StampedHeaders: []string{"s"}, Stamps: protocol.Object{{Name: "s", Value: "v"}},
		Headers:   protocol.Object{{Name: "traceparent", Value: "tp"}, {Name: "x-death", Value: "d"}, {Name: "x-first-death-queue", Value: "q"}},
		Callbacks: []protocol.Signature{client.Task("cb")}, Errbacks: []protocol.Signature{client.Task("err")},
		Chain: []protocol.Signature{client.Task("next")},
	})
	d.want(t, "ack")
	n := s.wantSent("a")[0]
	if n.ID != "1" || n.Retries != 2 || n.ParentID != "1" || n.Group != "g" || *n.GroupIndex != 5 || *n.Priority != 5 || !*n.IgnoreResult {
		t.Errorf("retry %+v", n)
	}
	if n.ArgsRepr != "(***)" || n.KwargsRepr != "{***}" || n.ReplyTo != "me" || n.Origin != "gen1@h" || n.HardLimit != 9 || n.SoftLimit != 8 ||
		n.ReplacedTaskNesting != 2 || n.Shadow != "sh" || n.Stamps.String("s") != "v" || n.Expires.IsZero() || n.Expiration == "" {
		t.Errorf("retry %+v", n)
	}
	if n.Serializer != "msgpack" || n.Compression != "zlib" {
		t.Errorf("written as %q, %q", n.Serializer, n.Compression)
	}
	if n.Headers.String("traceparent") != "tp" || len(n.Headers) != 1 {
		t.Errorf("headers %v", n.Headers)
	}
	if len(n.Callbacks) != 1 || len(n.Errbacks) != 1 || len(n.Chain) != 1 {
		t.Errorf("embedded %v %v %v", n.Callbacks, n.Errbacks, n.Chain)
	}
	if n.ETA.Before(before.Add(time.Minute)) || n.ETA.After(time.Now().Add(time.Minute)) {
		t.Errorf("eta %v", n.ETA)
	}
	s.wantEvents("task-received", "task-started", "task-retried")
}

// A message that does not say where it was sent is retried where it was found.
func TestRetryWithoutRoutingKey(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, Retry(errBoom, time.Minute))
	m, err := (&protocol.Task{Name: "a", ID: "1"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.handle(carried(m))
	if n := s.wantSent("a")[0]; n.RoutingKey != "q" {
		t.Errorf("retried to %q", n.RoutingKey)
	}
	s.wantStates("1 RETRY")
}

func TestRetryIsItsOwnChild(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, Retry(errBoom, time.Minute))
	s.deliver(&protocol.Task{Name: "a", ID: "1", ParentID: "p"})
	s.wantStates("1 RETRY")
	r := s.backend.stored[0]
	if len(r.Children) != 1 || string(r.Children[0]) != `[["1", null], null]` {
		t.Errorf("children %s", r.Children)
	}
	if p := s.broker.sent[0].ParentID; p != "p" {
		t.Errorf("parent %q, want it kept", p)
	}
}

func TestRetryWithOtherArguments(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, &RetryError{Err: errBoom, Args: []any{1, "x"}, Kwargs: protocol.Object{{Name: "k", Value: 2}}})
	s.task("bad", nil, &RetryError{Err: errBoom, Args: []any{make(chan int)}})
	s.deliver(&protocol.Task{Name: "a", ID: "1", ArgsRepr: "(old)", KwargsRepr: "{old}"})
	s.deliver(&protocol.Task{Name: "bad", ID: "2"})
	n := s.wantSent("a")[0]
	if n.ArgsRepr != "(1, 'x')" || n.KwargsRepr != "{'k': 2}" || len(n.Args) != 2 || len(n.Kwargs) != 1 {
		t.Errorf("retry %+v", n)
	}
	s.wantStates("1 RETRY", "2 FAILURE")
}

// A broker that refuses a follow-up makes the task a failure after its tries,
// with errbacks; one that is away is waited for.
func TestRefusedFollowUp(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{{broker.ErrRefused, "1 FAILURE"}, {broker.ErrReadOnly, "1 SUCCESS"}, {broker.ErrConnection, "1 SUCCESS"}} {
		s := newStage(t, Config{})
		s.task("a", 1, nil)
		tries := 0
		s.broker.fail = func() error {
			if tries++; tries <= 4 {
				return tt.err
			}
			return nil
		}
		s.deliver(&protocol.Task{Name: "a", ID: "1", Callbacks: []protocol.Signature{client.Task("cb")}, Errbacks: []protocol.Signature{client.Task("err")}})
		s.wantStates(tt.want)
		if tt.want == "1 FAILURE" {
			s.wantSent("err")
		} else {
			s.wantSent("cb")
		}
	}
}

// A retry that is refused leaves a late-acknowledged message to be run again,
// and is the failure of any other.
func TestRefusedRetry(t *testing.T) {
	for _, late := range []bool{true, false} {
		s := newStage(t, Config{})
		s.task("a", nil, Retry(errBoom, time.Minute), AcksLate(late))
		s.broker.fail = func() error { return broker.ErrRefused }
		d := s.deliver(&protocol.Task{Name: "a", ID: "1"})
		if late {
			d.want(t, "return")
			s.wantStates()
		} else {
			d.want(t, "ack")
			s.wantStates("1 FAILURE")
		}
	}
}

func TestAcknowledgement(t *testing.T) {
	slow := []Option{AcksLate(true), TimeLimit(0, time.Millisecond)}
	tests := []struct {
		name   string
		err    error
		opts   []Option
		end    string
		states []string
		events []string
	}{
		{"early failure", errBoom, nil, "ack", []string{"1 FAILURE"}, []string{"task-failed"}},
		{"late failure", errBoom, []Option{AcksLate(true)}, "ack", []string{"1 FAILURE"}, []string{"task-failed"}},
		{"late failure not acknowledged", errBoom, []Option{AcksLate(true), AcksOnFailure(false)}, "reject",
			[]string{"1 FAILURE"}, []string{"task-failed", "task-rejected"}},
		{"hard limit", context.Canceled, slow, "ack", []string{"1 FAILURE"}, []string{"task-failed"}},
		{"hard limit not acknowledged", context.Canceled, append(slow, AcksOnTimeout(false)), "requeue",
			[]string{"1 FAILURE"}, []string{"task-failed", "task-rejected"}},
		{"late reject", Reject("no", false), []Option{AcksLate(true)}, "reject", []string{"1 FAILURE"}, []string{"task-failed", "task-rejected"}},
		{"late requeue", Reject("no", true), []Option{AcksLate(true)}, "requeue", nil, []string{"task-rejected"}},
		{"early reject", Reject("no", false), nil, "ack", []string{"1 FAILURE"}, []string{"task-failed"}},
		{"early requeue", Reject("no", true), nil, "ack", nil, nil},
		{"ignore", Ignore(), []Option{AcksLate(true)}, "ack", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, Config{})
			Must(s.w.Register("a", func(ctx context.Context, _ *Task) (any, error) {
				if errors.Is(tt.err, context.Canceled) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, tt.err
			}, tt.opts...))
			s.deliver(&protocol.Task{Name: "a", ID: "1"}).want(t, tt.end)
			s.wantStates(tt.states...)
			s.wantEvents(append([]string{"task-received", "task-started"}, tt.events...)...)
		})
	}
}

// The failure of a task is that of every step after it, with their parts in
// outer chords; revocation is not.
func TestFailureReachesTheChain(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", nil, errBoom)
	s.backend.sizes["outer"] = 2
	outer := client.With(client.Task("outer.body"), client.ID("outer-body"))
	last := client.With(client.Task("c"), client.ID("c-id"), client.Set("group_id", "outer"), client.Set("group_index", 1), client.Set("chord", outer))
	chord := client.Chord([]protocol.Signature{client.Task("h")}, client.With(client.Task("b"), client.ID("b-id")))
	chain := []protocol.Signature{last, chord}
	s.deliver(&protocol.Task{Name: "a", ID: "1", ParentID: "p", Chain: chain})
	s.wantStates("1 FAILURE", "c-id FAILURE", "b-id FAILURE")
	if first, step := s.backend.stored[0], s.backend.stored[1]; first.ParentID != "p" || step.ParentID != "" {
		t.Errorf("parents %q and %q: the parent of a task is not that of the steps after it", first.ParentID, step.ParentID)
	}
	if parts := s.backend.parts["outer"]; len(parts) != 1 || *parts[0].Index != 1 || parts[0].Result.Status != protocol.StateFailure {
		t.Errorf("parts of the outer chord: %+v", parts)
	}

	s = newStage(t, Config{})
	s.task("a", nil, nil)
	s.deliver(&protocol.Task{Name: "a", ID: "1", Chain: chain, Expires: time.Now().Add(-time.Hour)})
	s.wantStates("1 REVOKED")
	s.wantEvents("task-revoked")
}

// An outcome that can never be settled is the task's failure with all that a
// failure means, and a dead letter.
func TestUnsettledIsAFullFailure(t *testing.T) {
	s := newStage(t, Config{})
	s.task("a", 1, nil, AcksLate(true))
	s.backend.sizes["g"] = 2
	s.backend.put = func(r *protocol.Result) error {
		if r.Status == protocol.StateSuccess {
			return errors.New("too large")
		}
		return nil
	}
	body := client.With(client.Task("body"), client.ID("body-id"))
	d := s.deliver(&protocol.Task{Name: "a", ID: "1", Group: "g", Chord: &body, Errbacks: []protocol.Signature{client.Task("err")},
		Chain: []protocol.Signature{client.With(client.Task("b"), client.ID("b-id"))}})
	d.want(t, "dead")
	s.wantStates("1 FAILURE", "b-id FAILURE")
	s.wantSent("b", "err")
	if len(s.backend.parts["g"]) != 1 {
		t.Error("the chord was not told")
	}
}

func TestInheritedPriority(t *testing.T) {
	for _, inherit := range []bool{false, true} {
		s := newStage(t, Config{InheritPriority: inherit})
		s.task("a", 1, nil)
		three := 3
		s.deliver(&protocol.Task{Name: "a", ID: "1", Priority: &three, Callbacks: []protocol.Signature{client.Task("cb")}})
		if got := s.wantSent("cb")[0].Priority; (got != nil) != inherit {
			t.Errorf("inherit %v: priority %v", inherit, got)
		}
	}
}
