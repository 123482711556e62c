package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	backends "github.com/umbel-go/umbel/backend/dial"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// bench is a broker with results, and a client on it.
type bench struct {
	t      *testing.T
	ctx    context.Context
	url    string
	client *client.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, testenv.Redis(t))
}

func newBenchOn(t *testing.T, url string) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	b := &bench{t: t, ctx: ctx, url: url}
	cfg := b.connect()
	b.client = client.New(client.Config{Broker: cfg.Broker, Backend: cfg.Backend})
	return b
}

// connect opens connections of their own, as another process would.
func (b *bench) connect() worker.Config {
	b.t.Helper()
	br, err := brokers.Open(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { br.Close() })
	results, err := backends.Open(b.url, br)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { results.Close() })
	return worker.Config{Broker: br, Backend: results}
}

// run starts a worker; the function returned stops it warmly and waits.
func (b *bench) run(cfg worker.Config, register func(*worker.Worker)) (stop func()) {
	b.t.Helper()
	conn := b.connect()
	cfg.Broker, cfg.Backend = conn.Broker, conn.Backend
	w := worker.New(cfg)
	register(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.t.Errorf("worker ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			b.t.Error("worker did not stop within 20 s")
		}
	}
	b.t.Cleanup(stop)
	select {
	case <-w.Online():
	case <-b.ctx.Done():
		b.t.Fatal("worker is not online")
	}
	return stop
}

func (b *bench) send(sig protocol.Signature, opts ...client.Option) *client.Result {
	b.t.Helper()
	r, err := b.client.Send(b.ctx, sig, opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// failure waits for a task to fail and returns how.
func (b *bench) failure(r *client.Result) *client.TaskError {
	b.t.Helper()
	var failed *client.TaskError
	if err := r.Get(b.ctx, nil); !errors.As(err, &failed) {
		b.t.Fatalf("got %v, want a failed task", err)
	}
	return failed
}

func TestOutcomes(t *testing.T) {
	b := newBench(t)
	var tries atomic.Int32
	b.run(worker.Config{Concurrency: 4}, func(w *worker.Worker) {
		worker.Must(worker.Func(w, "panic", func(context.Context) error { panic("ouch") }))
		worker.Must(worker.Func(w, "value", func(context.Context) error {
			return worker.Exception("builtins", "ValueError", "bad", 42)
		}))
		worker.Must(worker.Func(w, "retry", func(context.Context) (int, error) {
			if n := tries.Add(1); n < 3 {
				return 0, worker.Retry(errors.New("not yet"), 10*time.Millisecond)
			}
			return int(tries.Load()), nil
		}))
		worker.Must(worker.Func(w, "soft", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			worker.TimeLimit(50*time.Millisecond, 0)))
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		worker.Must(worker.Func(w, "hard", func(context.Context) error { <-release; return nil },
			worker.TimeLimit(0, 50*time.Millisecond)))
		worker.Must(worker.Func(w, "exc", func(_ context.Context, id string) (string, error) { return "saw " + id, nil }))
	})
	if e := b.failure(b.send(client.Task("panic"))); e.Exception.Type != "Exception" || !strings.Contains(e.Traceback, "goroutine") {
		t.Errorf("panic: %v, traceback %q", e, e.Traceback)
	}
	if e := b.failure(b.send(client.Task("value"))); e.Exception.Type != "ValueError" || len(e.Exception.Args) != 2 {
		t.Errorf("value: %+v", e.Exception)
	}
	var n int
	if err := b.send(client.Task("retry")).Get(b.ctx, &n); err != nil || n != 3 {
		t.Errorf("retry: %d, %v", n, err)
	}
	if e := b.failure(b.send(client.Task("soft"))); e.Exception.Type != "SoftTimeLimitExceeded" {
		t.Errorf("soft limit: %v", e)
	}
	if e := b.failure(b.send(client.Task("hard"))); e.Exception.Type != "TimeLimitExceeded" {
		t.Errorf("hard limit: %v", e)
	}
	if e := b.failure(b.send(client.Task("value"), client.Expires(time.Now().Add(-time.Minute)))); e.State != protocol.StateRevoked {
		t.Errorf("expired: %v", e)
	}
	failed := b.send(client.Task("value"), client.LinkError(client.Task("exc"), client.With(client.Task("exc"), client.ID("errback-of-value"))))
	b.failure(failed)
	var saw string
	if err := b.client.Result("errback-of-value").Get(b.ctx, &saw); err != nil || saw != "saw "+failed.ID {
		t.Errorf("errback: %q, %v", saw, err)
	}
	last := b.send(client.Chain(client.Task("value"), client.Task("exc"), client.Task("exc")))
	if e := b.failure(last); e.Exception.Type != "ValueError" {
		t.Errorf("the end of a failed chain: %v", e)
	}
}

// A warm shutdown lets running tasks finish and loses none that wait.
func TestWarmShutdownLosesNothing(t *testing.T) {
	b := newBench(t)
	begun, release := make(chan struct{}, 16), make(chan struct{})
	register := func(w *worker.Worker) {
		worker.Must(worker.Func(w, "wait", func(_ context.Context, i int) (int, error) {
			begun <- struct{}{}
			<-release
			return i, nil
		}, worker.AcksLate(true)))
	}
	stop := b.run(worker.Config{Concurrency: 2, Name: "one@here"}, register)
	var results []*client.Result
	for i := range 6 {
		results = append(results, b.send(client.Task("wait", i)))
	}
	<-begun
	<-begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(release)
	<-stopped
	b.run(worker.Config{Concurrency: 2, Name: "two@here"}, register)
	for i, r := range results {
		var got int
		if err := r.Get(b.ctx, &got); err != nil || got != i {
			t.Errorf("task %d: %d, %v", i, got, err)
		}
	}
	if ran := len(begun); ran != 4 {
		t.Errorf("%d tasks began after the first two, want 4: something ran twice or not at all", ran)
	}
}

// When the drain deadline passes, a late-acknowledged task goes back to the
// queue and an early one fails, so that nobody waits for ever.
func TestDrainDeadline(t *testing.T) {
	b := newBench(t)
	begun := make(chan string, 4)
	hang := func(ctx context.Context, name string) (string, error) {
		begun <- name
		if worker.FromContext(ctx).Hostname == "two@here" {
			return name, nil
		}
		<-ctx.Done()
		return "", ctx.Err()
	}
	register := func(w *worker.Worker) {
		worker.Must(worker.Func(w, "late", hang, worker.AcksLate(true)))
		worker.Must(worker.Func(w, "early", hang))
	}
	stop := b.run(worker.Config{Concurrency: 2, Name: "one@here", DrainTimeout: 50 * time.Millisecond}, register)
	late, early := b.send(client.Task("late", "late")), b.send(client.Task("early", "early"))
	<-begun
	<-begun
	stop()
	if e := b.failure(early); e.Exception.Type != "WorkerLostError" {
		t.Errorf("early: %v", e)
	}
	b.run(worker.Config{Name: "two@here"}, register)
	var got string
	if err := late.Get(b.ctx, &got); err != nil || got != "late" {
		t.Errorf("late: %q, %v", got, err)
	}
}

func TestRemoteControl(t *testing.T) {
	b := newBench(t)
	begun := make(chan struct{}, 1)
	b.run(worker.Config{Concurrency: 1, Name: "busy@here"}, func(w *worker.Worker) {
		worker.Must(worker.Func(w, "hang", func(ctx context.Context) error {
			begun <- struct{}{}
			<-ctx.Done()
			return context.Cause(ctx)
		}))
	})
	hanging := b.send(client.Task("hang"))
	<-begun
	inspect := func(method string, args protocol.Object) string {
		t.Helper()
		replies, err := b.client.Inspect(b.ctx, method, args, client.ControlOptions{Destination: []string{"busy@here"}, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return string(replies["busy@here"])
	}
	tests := []struct {
		method string
		args   protocol.Object
		want   string
	}{
		{"ping", nil, `{"ok": "pong"}`},
		{"registered", nil, `["hang"]`},
		{"enable_events", nil, `{"ok": "task events enabled"}`},
		{"enable_events", nil, `{"ok": "task events already enabled"}`},
		{"no_such_command", nil, `{"error": "KeyError('no_such_command')"}`},
		{"revoke", protocol.Object{{Name: "task_id", Value: "x"}}, `{"ok": "tasks {'x'} flagged as revoked"}`},
	}
	for _, tt := range tests {
		if got := inspect(tt.method, tt.args); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.method, got, tt.want)
		}
	}
	for method, want := range map[string]string{
		"active": hanging.ID, "stats": `"max-concurrency": 1`, "active_queues": `"name": "celery"`,
		"revoked": `"x"`, "clock": `"clock"`, "conf": "worker_concurrency", "hello": `"revoked"`,
	} {
		if got := inspect(method, nil); !strings.Contains(got, want) {
			t.Errorf("%s: %q is not in %s", method, want, got)
		}
	}
	found := inspect("query_task", protocol.Object{{Name: "ids", Value: []string{hanging.ID, "nowhere"}}})
	if want := fmt.Sprintf(`{"%s": ["active", {"id": "%[1]s"`, hanging.ID); !strings.HasPrefix(found, want) || strings.Contains(found, "nowhere") {
		t.Errorf("query_task: %s", found)
	}
	got := inspect("revoke", protocol.Object{{Name: "task_id", Value: hanging.ID}, {Name: "terminate", Value: true}})
	if want := fmt.Sprintf(`{"ok": "terminate: %s"}`, hanging.ID); got != want {
		t.Errorf("terminate: got %s, want %s", got, want)
	}
	if e := b.failure(hanging); e.State != protocol.StateRevoked {
		t.Errorf("terminated task: %v", e)
	}
}

// A trace that a producer began leads through a task, its callback and the chord
// that follows, over a real broker.
func TestTraceOnRedis(t *testing.T) {
	type span struct{}
	b := newBench(t)
	headers := func(ctx context.Context) protocol.Object {
		s, _ := ctx.Value(span{}).(string)
		return protocol.Object{{Name: "traceparent", Value: s}}
	}
	begin := func(ctx context.Context, t *protocol.Task) context.Context {
		return context.WithValue(ctx, span{}, t.Headers.String("traceparent")+"/"+t.Name)
	}
	seen := func(ctx context.Context) (string, error) { return ctx.Value(span{}).(string), nil }
	b.run(worker.Config{Headers: headers, Context: begin}, func(w *worker.Worker) {
		worker.Must(worker.Raw(w, "a", func(ctx context.Context, _ *worker.Task) (any, error) { return seen(ctx) }))
		worker.Must(worker.Raw(w, "b", func(ctx context.Context, _ *worker.Task) (any, error) { return seen(ctx) }))
	})
	last := b.send(client.Chain(
		client.With(client.Task("a"), client.Header("traceparent", "py")),
		client.Group(client.Task("b"), client.Task("b")), client.Task("b"),
	))
	var got string
	if err := last.Get(b.ctx, &got); err != nil || got != "py/a/b/b" {
		t.Errorf("the body of the chord ran under %q (%v)", got, err)
	}
}
