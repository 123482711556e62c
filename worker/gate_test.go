package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

func TestGate(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	past, future := now.Add(-time.Second), now.Add(time.Second)
	tests := []struct {
		name       string
		task       protocol.Task
		registered bool
		revoked    bool
		want       verdict
	}{
		{"plain", protocol.Task{}, true, false, ready},
		{"unknown goes before everything", protocol.Task{Expires: past}, false, true, unknown},
		{"revoked before expired", protocol.Task{Expires: past}, true, true, isRevoked},
		{"expired before eta", protocol.Task{Expires: past, ETA: future}, true, false, hasExpired},
		{"expires now is not yet expired", protocol.Task{Expires: now}, true, false, ready},
		{"eta ahead", protocol.Task{ETA: future}, true, false, notDue},
		{"eta now", protocol.Task{ETA: now}, true, false, ready},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := gate(&tt.task, tt.registered, tt.revoked, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	now := time.Unix(1000, 0)
	boom := errors.New("boom")
	opts := options{maxRetries: 3, retryDelay: 3 * time.Minute}
	tests := []struct {
		name    string
		retries int
		value   any
		err     error
		cause   error
		want    state
		class   string
	}{
		{"value", 0, 5, nil, nil, succeeded, ""},
		{"value in spite of a soft limit", 0, 5, nil, ErrSoftLimit, succeeded, ""},
		{"unstorable value", 0, make(chan int), nil, nil, failed, "Exception"},
		{"error", 0, nil, boom, nil, failed, "Exception"},
		{"named class", 0, nil, Exception("builtins", "ValueError", "x"), nil, failed, "ValueError"},
		{"soft limit", 0, nil, context.Canceled, ErrSoftLimit, failed, "SoftTimeLimitExceeded"},
		{"retry", 2, nil, Retry(boom, 0), nil, retried, "Exception"},
		{"retries used up", 3, nil, Retry(boom, 0), nil, failed, "Exception"},
		{"used up without a cause", 3, nil, Retry(nil, 0), nil, failed, "MaxRetriesExceededError"},
		{"reject", 0, nil, Reject("no", false), nil, rejected, "Reject"},
		{"ignore", 0, nil, Ignore(), nil, ignored, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := outcomeOf(&protocol.Task{Retries: tt.retries}, opts, tt.value, tt.err, tt.cause, now)
			if o.state != tt.want {
				t.Fatalf("state %v, want %v", o.state, tt.want)
			}
			if tt.class != "" && o.exception.Type != tt.class {
				t.Errorf("class %s, want %s", o.exception.Type, tt.class)
			}
			if o.state == retried && !o.eta.Equal(now.Add(3*time.Minute)) {
				t.Errorf("eta %v", o.eta)
			}
		})
	}
}

func TestForeignNeverGivesUpEarly(t *testing.T) {
	now := time.Unix(1000, 0)
	f := newForeign("umbel@self", slog.Default(), nil)
	f.now = func() time.Time { return now }
	names := func(list ...string) protocol.Raw { raw, _ := protocol.Marshal(list); return raw }
	learn := func(replies map[string]protocol.Raw) {
		replies["umbel@self"] = names("go.task")
		f.learn(replies)
	}

	if back, _ := f.consult("py.task", "1"); !back {
		t.Fatal("nobody was asked and the task was given up")
	}
	learn(map[string]protocol.Raw{"celery@a": names("py.task [rate_limit=10/m]")})
	var last time.Duration
	for i := range 8 {
		back, delay := f.consult("py.task", "1")
		if !back || delay < last || delay > foreignMaxDelay {
			t.Fatalf("try %d: back %v after %v, before it %v", i, back, delay, last)
		}
		last = delay
	}
	// A node that is busy does not answer; it still counts.
	for range 5 {
		learn(map[string]protocol.Raw{})
	}
	if back, _ := f.consult("py.task", "1"); !back {
		t.Error("a silent node's task was given up")
	}
	// One that nobody ever had is given up after two rounds, not one.
	f.consult("nobody.has", "2")
	learn(map[string]protocol.Raw{"celery@a": names("py.task")})
	if back, _ := f.consult("nobody.has", "2"); !back {
		t.Error("given up after one round")
	}
	learn(map[string]protocol.Raw{"celery@a": names("py.task")})
	f.learn(map[string]protocol.Raw{}) // we did not hear ourselves: proves nothing
	if back, _ := f.consult("nobody.has", "2"); back {
		t.Error("still handed back after two rounds without a taker")
	}
	// Rounds long ago do not count.
	now = now.Add(time.Hour)
	if back, _ := f.consult("nobody.has", "3"); !back {
		t.Error("given up on stale answers")
	}
	learn(map[string]protocol.Raw{})
	if back, _ := f.consult("nobody.has", "3"); !back {
		t.Error("given up after one fresh round")
	}
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type panickyJSON struct{}

func (panickyJSON) MarshalJSON() ([]byte, error) { panic("ouch") }

// Whatever a handler does, its run has one outcome and the worker lives.
func TestHandlersThatMisbehave(t *testing.T) {
	tests := map[string]Handler{
		"panic":            func(context.Context, *Task) (any, error) { panic("ouch") },
		"typed nil error":  func(context.Context, *Task) (any, error) { var e *nilError; return nil, e },
		"panicking result": func(context.Context, *Task) (any, error) { return panickyJSON{}, nil },
		"result not JSON":  func(context.Context, *Task) (any, error) { return protocol.Raw("not json"), nil },
		"Goexit":           func(context.Context, *Task) (any, error) { runtime.Goexit(); return nil, nil },
	}
	for name, h := range tests {
		t.Run(name, func(t *testing.T) {
			w := New(Config{Concurrency: 1})
			out := w.execute(context.Background(), context.Background(), idle{}, &Task{Task: &protocol.Task{ID: "id"}}, &registration{handler: h})
			if out.state != failed || out.exception == nil {
				t.Errorf("got %+v", out)
			}
		})
	}
}

// idle is a delivery that nothing happens to.
type idle struct{ broker.Delivery }

func (idle) Queue() string         { return "q" }
func (idle) Lost() <-chan struct{} { return nil }

// Once as many tasks as slots ignore their limits, nothing more is taken.
func TestAbandonedTasksStopTheClaiming(t *testing.T) {
	w := New(Config{Concurrency: 1})
	release := make(chan struct{})
	task := &Task{Task: &protocol.Task{ID: "id", HardLimit: 0.01}}
	out := w.execute(context.Background(), context.Background(), idle{}, task, &registration{
		handler: func(context.Context, *Task) (any, error) { <-release; return nil, nil },
	})
	if out.state != failed || out.exception.Type != "TimeLimitExceeded" {
		t.Fatalf("got %+v", out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if free, ok := w.slots.wait(ctx); ok {
		t.Errorf("%d slots are free beside an abandoned task", free)
	}
	close(release)
	if _, ok := w.slots.wait(context.Background()); !ok {
		t.Error("no slot is free although the task returned")
	}
}

func TestPattern(t *testing.T) {
	tests := []struct {
		pattern, matcher, name string
		want                   bool
	}{
		{"batch-*", "glob", "batch-1@host", true}, {"batch-*", "glob", "x-batch-1", false},
		{"w[!a]@*", "glob", "wb@h", true}, {"w[!a]@*", "glob", "wa@h", false},
		{"w[ab]?", "glob", "wa1", true}, {"w[", "glob", "w[", true}, {"a.b", "glob", "axb", false},
		{"batch-.*", "pcre", "batch-1@host", true}, {"batch-.*", "pcre", "umbel@host", false},
		{"umb", "pcre", "umbel@host", true}, {"mbel", "pcre", "umbel@host", false},
	}
	for _, tt := range tests {
		re, err := pattern(tt.pattern, tt.matcher)
		if err != nil || re.MatchString(tt.name) != tt.want {
			t.Errorf("%s %q on %s: want %v (%v)", tt.matcher, tt.pattern, tt.name, tt.want, err)
		}
	}
	for _, matcher := range []string{"pcre", "nosuch"} {
		if _, err := pattern("(", matcher); err == nil {
			t.Errorf("%s: no error", matcher)
		}
	}
}

func TestSlotsDrain(t *testing.T) {
	s := newSlots(2, slog.Default())
	s.take()
	if s.drain(time.Millisecond, nil) {
		t.Error("drained with a slot in use")
	}
	s.release()
	if !s.drain(0, nil) {
		t.Error("not drained")
	}
}
