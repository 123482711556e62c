package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

func TestSendAllIsOneCall(t *testing.T) {
	b := &recorder{}
	c := New(Config{Broker: b, SendEvents: true})
	sigs := make([]protocol.Signature, 1000)
	for i := range sigs {
		sigs[i] = Task("t", i)
	}
	results, err := c.SendAll(t.Context(), sigs...)
	if err != nil {
		t.Fatal(err)
	}
	if b.calls != 1 || !slices.Equal(b.declared, []string{"celery"}) {
		t.Errorf("%d calls, declared %v", b.calls, b.declared)
	}
	for i, r := range results {
		if got := b.task(t, i); got.ID != r.ID || string(got.Args[0]) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s%s, its handle %s", i, got.ID, got.Args, r.ID)
		}
	}
	if events := len(b.sent) - 1000; events != 42 {
		t.Errorf("%d event messages, want 1000 events by 24", events)
	}
}

func TestRetryPolicy(t *testing.T) {
	tests := []struct {
		name   string
		policy *Retry
		err    error
		calls  int
	}{
		{"Celery's", nil, broker.ErrConnection, 4},
		{"read-only", nil, broker.ErrReadOnly, 4},
		{"refused", nil, broker.ErrRefused, 4},
		{"none", &Retry{}, broker.ErrConnection, 1},
		{"one more", &Retry{Max: 1}, broker.ErrConnection, 2},
		{"not about the connection", nil, errors.New("too large"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &recorder{errs: slices.Repeat([]error{tt.err}, 9)}
			_, err := New(Config{Broker: b, Retry: tt.policy}).Send(t.Context(), Task("t"))
			if !errors.Is(err, tt.err) || b.calls != tt.calls {
				t.Errorf("%d calls, want %d; %v", b.calls, tt.calls, err)
			}
		})
	}
}

func TestRetryPauses(t *testing.T) {
	tests := []struct {
		policy Retry
		want   time.Duration // of all pauses
	}{
		{celeryRetry, 600 * time.Millisecond},
		{Retry{Max: 3, Start: time.Second}, 3 * time.Second},
		{Retry{Max: 3, Start: time.Second, Step: time.Second}, 6 * time.Second},
		{Retry{Max: 3, Start: time.Second, Step: time.Second, Limit: 2 * time.Second}, 5 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			if err := tt.policy.do(t.Context(), func() error { return broker.ErrConnection }); !errors.Is(err, broker.ErrConnection) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took != tt.want {
				t.Errorf("%+v paused for %v, want %v", tt.policy, took, tt.want)
			}
		})
	}
}

func TestRetryEndsWithContext(t *testing.T) {
	b := &recorder{errs: slices.Repeat([]error{broker.ErrConnection}, 9)}
	c := New(Config{Broker: b, Retry: &Retry{Max: 9, Start: time.Hour, Limit: time.Hour}})
	if _, err := c.Send(soon(t), Task("t")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, broker.ErrConnection) {
		t.Errorf("got %v", err)
	}
}

// A queue that was deleted is declared again, once.
func TestDeletedQueue(t *testing.T) {
	b := &recorder{errs: []error{nil, broker.ErrNoQueue, nil, broker.ErrNoQueue, broker.ErrNoQueue}}
	c := New(Config{Broker: b})
	for i, want := range []error{nil, nil, broker.ErrNoQueue} {
		if _, err := c.Send(t.Context(), Task("t")); !errors.Is(err, want) {
			t.Errorf("sending %d: %v, want %v", i, err, want)
		}
	}
	if len(b.declared) != 3 || len(b.sent) != 2 {
		t.Errorf("declared %v, %d sent", b.declared, len(b.sent))
	}
}

func TestDestinations(t *testing.T) {
	nine := 9
	c := func(b *recorder) *Client {
		return New(Config{Broker: b, Queue: "default", Route: func(task string) Destination {
			switch task {
			case "queue": // celery.map goes where the task goes that it calls
				return Destination{Queue: "routed", Priority: &nine}
			case "exchange":
				return Destination{Exchange: "ex", RoutingKey: "a.b"}
			}
			return Destination{}
		}})
	}
	tests := []struct {
		sig           protocol.Signature
		exchange, key string
		priority      int // -1: none
		declared      int
	}{
		{Task("plain"), "", "default", -1, 1},
		{Task("queue"), "", "routed", 9, 1},
		{protocol.Signature{Task: protocol.TaskMap, SubtaskType: protocol.SubtaskMap, Kwargs: protocol.Object{
			{Name: "task", Value: Task("queue")}, {Name: "it", Value: []int{1}}}}, "", "routed", 9, 1},
		{With(Task("queue"), Queue("own"), Priority(1)), "", "own", 1, 1},
		{Task("exchange"), "ex", "a.b", -1, 0},
		{With(Task("queue"), Set("exchange", "x"), Set("routing_key", "k")), "x", "k", 9, 0},
	}
	for i, tt := range tests {
		b := &recorder{}
		if _, err := c(b).Send(t.Context(), tt.sig); err != nil {
			t.Fatal(err)
		}
		p, priority := b.sent[0], -1
		if v := p.Message.Properties.Priority; v != nil {
			priority = *v
		}
		if p.Exchange != tt.exchange || p.RoutingKey != tt.key || p.Message.Properties.RoutingKey != tt.key || priority != tt.priority || len(b.declared) != tt.declared {
			t.Errorf("%d: to %q %q, priority %d, declared %v", i, p.Exchange, p.RoutingKey, priority, b.declared)
		}
	}
}

func TestHeadersFromContext(t *testing.T) {
	type span struct{}
	b := &recorder{}
	c := New(Config{Broker: b, Headers: func(ctx context.Context) protocol.Object {
		return protocol.Object{{Name: "traceparent", Value: ctx.Value(span{})}, {Name: "baggage", Value: "b"}}
	}})
	ctx := context.WithValue(t.Context(), span{}, "00-1")
	if _, err := c.Send(ctx, Group(Task("a"), With(Task("b"), Header("traceparent", "mine")))); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"00-1", "mine"} {
		if h := b.task(t, i).Headers; h.String("traceparent") != want || h.String("baggage") != "b" || len(h) != 2 {
			t.Errorf("task %d carries %v", i, h)
		}
	}
}

func TestSentEvents(t *testing.T) {
	b := &recorder{}
	c := New(Config{Broker: b, SendEvents: true, Name: "gen1@h"})
	ctx := WithParent(t.Context(), Parent{RootID: "root", ID: "parent"})
	if _, err := c.Send(ctx, Task("t", 1), Kwarg("k", "v"), ID("1"), Queue("q")); err != nil {
		t.Fatal(err)
	}
	if err := c.Resend(t.Context(), &protocol.Task{Name: "t", ID: "1", Retries: 1, Exchange: "ex", RoutingKey: "k"}); err != nil {
		t.Fatal(err)
	}
	if p := b.sent[1]; p.Exchange != protocol.EventExchange || p.RoutingKey != "task.sent" || p.Mandatory {
		t.Errorf("event goes to %+v", p)
	}
	want := []string{
		`{"uuid": "1", "root_id": "root", "parent_id": "parent", "name": "t", "args": "(1,)", "kwargs": "{'k': 'v'}", "retries": 0, "eta": null, "expires": null, "queue": "q", "exchange": "", "routing_key": "q"}`,
		`{"uuid": "1", "root_id": "1", "parent_id": null, "name": "t", "args": "", "kwargs": "", "retries": 1, "eta": null, "expires": null, "queue": null, "exchange": "ex", "routing_key": "k"}`,
	}
	for i, want := range want {
		events, err := protocol.DecodeEvents(b.sent[2*i+1].Message)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := protocol.Marshal(events[0].Fields); string(got) != want || events[0].Hostname != "gen1@h" || events[0].Clock != int64(i+1) {
			t.Errorf("event of %s, clock %d:\n%s\nwant\n%s", events[0].Hostname, events[0].Clock, got, want)
		}
	}
}

// Under a running task's context the tasks are its children; their results come
// to us, since we may wait for them.
func TestSendFromATask(t *testing.T) {
	b := &recorder{}
	c := New(Config{Broker: b, Backend: newShelf()})
	var children []string
	ctx := WithParent(t.Context(), Parent{RootID: "root", ID: "parent", Sent: func(t protocol.Tuple) { children = append(children, t.ID) }})
	r, err := c.Send(ctx, Task("t"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(ctx, Task("t"), Set("add_to_parent", false)); err != nil {
		t.Fatal(err)
	}
	if got := b.task(t, 0); got.RootID != "root" || got.ParentID != "parent" || got.ReplyTo != "reply-queue" {
		t.Errorf("sent %+v", got)
	}
	if !slices.Equal(children, []string{r.ID}) {
		t.Errorf("children %v, want %s", children, r.ID)
	}
}

func TestResend(t *testing.T) {
	bits := "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.1."
	tests := []struct{ exchange, key, wantExchange, wantKey string }{
		{"", "q", "", "q"},
		{"ex", "a.b", "ex", "a.b"},
		{"celery_delayed_27", bits + "q", "", "q"},
		{"ex", "0.1.short", "ex", "0.1.short"},
	}
	for _, tt := range tests {
		b := &recorder{}
		err := New(Config{Broker: b}).Resend(t.Context(), &protocol.Task{
			Name: "t", ID: "1", Exchange: tt.exchange, RoutingKey: tt.key, Expires: time.Now().Add(-time.Hour), Expiration: "5",
			Headers: protocol.Object{{Name: "x-death", Value: 1}, {Name: "x-last-death-queue", Value: 1}, {Name: "x-mine", Value: "1"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		p := b.sent[0]
		if p.Exchange != tt.wantExchange || p.RoutingKey != tt.wantKey || p.Message.Properties.Expiration != "0" {
			t.Errorf("%s %s: to %q %q, expiration %q", tt.exchange, tt.key, p.Exchange, p.RoutingKey, p.Message.Properties.Expiration)
		}
		if h := b.task(t, 0).Headers; len(h) != 1 || h.String("x-mine") != "1" {
			t.Errorf("headers %v", h)
		}
	}
}

func TestLegacyValues(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var forms []string
	for _, legacy := range []bool{false, true} {
		b := &recorder{}
		if _, err := New(Config{Broker: b, LegacyValues: legacy}).Send(t.Context(), Task("t", at)); err != nil {
			t.Fatal(err)
		}
		forms = append(forms, string(b.task(t, 0).Args[0]))
	}
	if !strings.Contains(forms[0], "__type__") || strings.Contains(forms[1], "__type__") {
		t.Errorf("a time is sent as %s, for old peers as %s", forms[0], forms[1])
	}
}

// chorder notes the order in which a chord is made known.
type chorder struct {
	*shelf
	backend.Chorder
	steps *[]string
}

func (c chorder) PutGroup(_ context.Context, id string, _ protocol.Raw) error {
	*c.steps = append(*c.steps, "save "+id)
	return nil
}

func (c chorder) GetGroup(context.Context, string) (protocol.Tuple, error) {
	return protocol.Tuple{}, backend.ErrNoGroup
}
func (c chorder) DeleteGroup(context.Context, string) error { return nil }

func (c chorder) StartChord(_ context.Context, s protocol.ChordStart) error {
	*c.steps = append(*c.steps, fmt.Sprintf("start %s with %d", s.Group, s.Size))
	return nil
}

// A chord is known, and its groups are saved, before its first task is sent.
func TestChordIsAnnounced(t *testing.T) {
	var steps []string
	b := &recorder{}
	c := New(Config{Broker: b, Backend: chorder{shelf: newShelf(), steps: &steps}})
	header := With(Group(Task("a"), Chain(Task("b"), Group(Task("c"), Task("d")))), ID("g"))
	sig := Chord(nil, Task("body"))
	sig.Kwargs = sig.Kwargs.Set("header", header)
	if _, err := c.Send(t.Context(), sig); err != nil {
		t.Fatal(err)
	}
	if want := []string{"save g", "start g with 3"}; !slices.Equal(steps, want) {
		t.Errorf("made known by %v, want %v", steps, want)
	}
	if _, err := New(Config{Broker: b}).Send(t.Context(), sig); err == nil {
		t.Error("a chord was sent without a backend")
	}
}
