package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/protocol"
)

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), sqlitex.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// running is an engine with its loops on, and a channel that changes arrive on.
type running struct {
	*Engine
	changed chan struct{}
}

func startEngine(t *testing.T, cfg Config) *running {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Engine: e, changed: make(chan struct{}, 1)}
	e.OnChange(func([]int64) { nudge(r.changed) })
	ctx, stop := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	over := errors.New("test is over")
	t.Cleanup(func() {
		stop(over)
		if err := <-done; !errors.Is(err, over) {
			t.Errorf("Run returned %v", err)
		}
	})
	return r
}

// until waits for a run to be as wanted.
func (r *running) until(t *testing.T, id int64, what string, want func(*dag.Run) bool) *dag.Run {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		run, err := r.Store().Run(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if want(run) {
			return run
		}
		select {
		case <-r.changed:
		case <-timeout:
			t.Fatalf("run %d is never %s: %s %+v", id, what, run.State, run.Nodes)
		}
	}
}

func over(r *dag.Run) bool { return r.State.Terminal() }

func diamond(t *testing.T) *dag.Definition {
	t.Helper()
	def, err := dag.New("diamond").Queue("umbel-demo").
		Node("a", "demo.add", dag.Args("${inputs.x}", 2)).
		Node("b", "demo.mul", dag.Args("${nodes.a.result}", 10), dag.After("a")).
		Node("c", "demo.mul", dag.Args("${nodes.a.result}", 100), dag.After("a")).
		Node("d", "demo.xsum", dag.Args([]any{"${nodes.b.result}", "${nodes.c.result}"}), dag.After("b", "c")).
		Input("x", dag.Input{Type: "number", Required: true}).Build()
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func TestDiamondRunsWithValues(t *testing.T) {
	celery := newFakeCelery()
	sent := map[string]protocol.Signature{}
	celery.onPublish = func(sig protocol.Signature) *protocol.Result {
		node := text(sig, dag.StampNode)
		celery.mu.Lock()
		sent[node] = sig
		celery.mu.Unlock()
		return ok(idOf(sig), map[string]string{"a": "3", "b": "30", "c": "300", "d": "330"}[node])
	}
	e := startEngine(t, Config{Store: openStore(t), Sender: celery, Backend: celery})
	run, err := e.Start(context.Background(), Start{Definition: diamond(t), Inputs: protocol.Raw(`{"x": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	run = e.until(t, run.ID, "over", over)
	if run.State != dag.RunSucceeded || string(run.Nodes[3].Result) != "330" {
		t.Fatalf("run %s, d = %s", run.State, run.Nodes[3].Result)
	}
	celery.mu.Lock()
	d := sent["d"]
	celery.mu.Unlock()
	args, _ := protocol.Marshal(d.Args)
	if got := string(args); got != "[[30, 300]]" {
		t.Errorf("d was sent %s", got)
	}
	if text(d, "root_id") != run.UUID || text(d, "parent_id") != run.Nodes[1].TaskID || text(d, "queue") != "umbel-demo" {
		t.Errorf("options of d: %v", d.Options)
	}
	if idOf(d) != dag.AttemptID(run.UUID, "d", 0, 1) {
		t.Errorf("id of d: %s", idOf(d))
	}
}

func TestRetryGetsNewTaskID(t *testing.T) {
	celery := newFakeCelery()
	var ids []string
	celery.onPublish = func(sig protocol.Signature) *protocol.Result {
		celery.mu.Lock()
		ids = append(ids, idOf(sig))
		n := len(ids)
		celery.mu.Unlock()
		if n < 3 {
			return bad(idOf(sig), "not yet")
		}
		return ok(idOf(sig), `"fine"`)
	}
	def, err := dag.New("flaky").Node("a", "demo.flaky", dag.Retry(2, 0)).Build()
	if err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, Config{Store: openStore(t), Sender: celery, Backend: celery})
	run, err := e.Start(context.Background(), Start{Definition: def})
	if err != nil {
		t.Fatal(err)
	}
	run = e.until(t, run.ID, "over", over)
	if run.State != dag.RunSucceeded || run.Nodes[0].Attempt != 3 {
		t.Fatalf("run %s after attempt %d", run.State, run.Nodes[0].Attempt)
	}
	celery.mu.Lock()
	defer celery.mu.Unlock()
	if len(ids) != 3 || ids[0] == ids[1] || ids[1] == ids[2] {
		t.Errorf("task ids %v", ids)
	}
}

func TestCancelRevokesWhatIsOut(t *testing.T) {
	celery := newFakeCelery()
	e := startEngine(t, Config{Store: openStore(t), Sender: celery, Backend: celery, Revoker: celery})
	run, err := e.Start(context.Background(), Start{Definition: diamond(t), Inputs: protocol.Raw(`{"x": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	e.until(t, run.ID, "queued", func(r *dag.Run) bool { return r.Nodes[0].State == dag.NodeQueued })
	if _, err := e.Cancel(context.Background(), run.ID, "not needed"); err != nil {
		t.Fatal(err)
	}
	run = e.until(t, run.ID, "over", over)
	if run.State != dag.RunCancelled || run.RetStat != dag.StatJobCancelled || run.Reason != "not needed" {
		t.Errorf("run %s %s %q", run.State, run.RetStat, run.Reason)
	}
	celery.mu.Lock()
	defer celery.mu.Unlock()
	if len(celery.published) != 1 || len(celery.revoked) == 0 {
		t.Errorf("published %v, revoked %v", celery.published, celery.revoked)
	}
}

// fleet is a Fleet with one dead worker.
type fleet struct{ node dag.FleetNode }

func (f fleet) Node(string) (dag.FleetNode, bool)  { return f.node, true }
func (f fleet) Registered(string) ([]string, bool) { return nil, false }
func (f fleet) QueueDepth(string) (int, bool)      { return 0, false }
func (f fleet) Consumers(queue string) (int, bool) { return 0, true }
func (f fleet) dead(since time.Duration) dag.Fleet {
	f.node.LastSeen = time.Now().Add(-since)
	return f
}

func TestTaskOfDeadWorkerIsLost(t *testing.T) {
	celery := newFakeCelery()
	def, err := dag.New("one").Node("a", "demo.sleep").Build()
	if err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, Config{Store: openStore(t), Sender: celery, Backend: celery, Fleet: fleet{}.dead(5 * time.Minute)})
	run, err := e.Start(context.Background(), Start{Definition: def})
	if err != nil {
		t.Fatal(err)
	}
	run = e.until(t, run.ID, "queued", func(r *dag.Run) bool { return r.Nodes[0].State == dag.NodeQueued })
	e.Observe(Hint{TaskID: run.Nodes[0].TaskID, State: protocol.StateStarted, Worker: "w@1", At: time.Now()})
	run = e.until(t, run.ID, "over", over)
	if run.RetStat != dag.StatTaskLost || !strings.Contains(run.Reason, "w@1") {
		t.Errorf("run %s %s %q", run.State, run.RetStat, run.Reason)
	}
}

func TestLargeResultIsNotCopied(t *testing.T) {
	celery := newFakeCelery()
	big := `"` + strings.Repeat("x", dag.MaxInline) + `"`
	celery.onPublish = func(sig protocol.Signature) *protocol.Result { return ok(idOf(sig), big) }
	def, err := dag.New("big").Node("a", "t").Node("b", "t", dag.Args("${nodes.a.result}"), dag.After("a")).Build()
	if err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, Config{Store: openStore(t), Sender: celery, Backend: celery})
	run, err := e.Start(context.Background(), Start{Definition: def})
	if err != nil {
		t.Fatal(err)
	}
	run = e.until(t, run.ID, "over", over)
	if a := run.Nodes[0]; a.State != dag.NodeSucceeded || a.Result != nil || a.ResultRef != a.TaskID {
		t.Errorf("a: %+v", a)
	}
	if b := run.Nodes[1]; b.State != dag.NodeFailed || !strings.Contains(b.Reason, "larger than 64 KB") {
		t.Errorf("b: %s %q", b.State, b.Reason)
	}
}
