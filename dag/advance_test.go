package dag

import (
	"testing"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bench drives a run without a store.
type bench struct {
	*Run
	now  time.Time
	last Step
}

func newBench(t *testing.T, b *Builder) *bench {
	t.Helper()
	def, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	r := &bench{Run: NewRun(def, 1, "run", protocol.Raw("{}"), start), now: start}
	r.see()
	return r
}

func (b *bench) see(seen ...Observation) { b.last = Advance(b.Run, seen, b.now) }

// report is an observation of a node's attempt.
func (b *bench) report(node string, attempt int, kind Kind, result string) Observation {
	return Observation{
		TaskID: AttemptID(b.UUID, node, 0, attempt), Node: node, Attempt: attempt, Kind: kind, At: b.now,
		Result: protocol.Raw(result),
	}
}

func (b *bench) want(t *testing.T, run RunState, nodes ...NodeState) {
	t.Helper()
	if b.State != run {
		t.Errorf("run is %s, not %s", b.State, run)
	}
	for i, s := range nodes {
		if b.Nodes[i].State != s {
			t.Errorf("node %s is %s, not %s", b.Nodes[i].Name, b.Nodes[i].State, s)
		}
	}
}

func TestJoinIsReleasedOnce(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t").Node("b", "t").Node("c", "t", After("a", "b")))
	b.see(b.report("a", 1, SeenSuccess, "1"), b.report("a", 1, SeenSuccess, "1"))
	b.want(t, RunRunning, NodeSucceeded, NodeDispatching, NodeWaiting)
	b.see(b.report("b", 1, SeenSuccess, "1"))
	if len(b.last.Publish) != 1 || b.last.Publish[0].Node != 2 {
		t.Fatalf("published %+v", b.last.Publish)
	}
	b.see(b.report("a", 1, SeenFailure, ""), b.report("b", 1, SeenSuccess, "1"))
	if len(b.last.Publish) != 0 {
		t.Errorf("published again: %+v", b.last.Publish)
	}
	b.see(b.report("c", 1, SeenSuccess, "1"))
	b.want(t, RunSucceeded, NodeSucceeded, NodeSucceeded, NodeSucceeded)
}

func TestProgressNeverGoesBack(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t"))
	b.see(b.report("a", 1, SeenStarted, ""), b.report("a", 1, SeenPublished, ""), b.report("a", 1, SeenReceived, ""))
	b.want(t, RunRunning, NodeRunning)
}

func TestFailureFailsWhatDependsOnIt(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t").Node("b", "t", After("a")).Node("c", "t", After("b")).Node("d", "t"))
	b.see(b.report("a", 1, SeenFailure, ""))
	b.want(t, RunRunning, NodeFailed, NodeUpstreamFailed, NodeUpstreamFailed, NodeDispatching)
	b.see(b.report("d", 1, SeenSuccess, "1"))
	b.want(t, RunFailed)
	if b.RetStat != StatException {
		t.Errorf("ret_stat %s", b.RetStat)
	}
}

func TestFailFastStopsOtherBranches(t *testing.T) {
	b := newBench(t, New("x").FailFast().Node("a", "t").Node("b", "t").Node("c", "t", After("b")).Node("d", "t", After("c")))
	b.see(b.report("a", 1, SeenFailure, ""))
	b.want(t, RunRunning, NodeFailed, NodeDispatching, NodeCancelled, NodeCancelled)
	b.see(b.report("b", 1, SeenSuccess, "1"))
	b.want(t, RunFailed, NodeFailed, NodeSucceeded, NodeCancelled, NodeCancelled)
}

func TestLateSuccessIsAdoptedUntilTheNextAttemptRuns(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t", Retry(1, 0)))
	b.see(b.report("a", 1, SeenLost, ""))
	b.want(t, RunRunning, NodeDispatching)
	b.see(b.report("a", 1, SeenSuccess, "7"))
	b.want(t, RunSucceeded, NodeSucceeded)
	if b.Nodes[0].TaskID != AttemptID("run", "a", 0, 1) || len(b.last.Revoke) != 1 {
		t.Errorf("adopted %s, revoked %v", b.Nodes[0].TaskID, b.last.Revoke)
	}

	b = newBench(t, New("x").Node("a", "t", Retry(1, 0)))
	b.see(b.report("a", 1, SeenFailure, ""))
	b.see(b.report("a", 2, SeenStarted, ""))
	b.see(b.report("a", 1, SeenSuccess, "7"))
	b.want(t, RunRunning, NodeRunning)
}

func TestRetryWaitsForItsDelay(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t", Retry(1, time.Minute)))
	b.see(b.report("a", 1, SeenFailure, ""))
	b.want(t, RunRunning, NodeUpForRetry)
	if !b.last.Wake.Equal(start.Add(time.Minute)) {
		t.Errorf("wakes at %s", b.last.Wake)
	}
	b.now = start.Add(time.Minute)
	b.see()
	b.want(t, RunRunning, NodeDispatching)
}

func TestRunTimeout(t *testing.T) {
	b := newBench(t, New("x").Timeout(time.Minute).Node("a", "t").Node("b", "t", After("a")))
	b.see(b.report("a", 1, SeenStarted, ""))
	b.now = start.Add(time.Minute)
	b.see()
	b.want(t, RunCancelling, NodeRunning, NodeCancelled)
	if len(b.last.Revoke) != 1 {
		t.Errorf("revoked %v", b.last.Revoke)
	}
	b.see(b.report("a", 1, SeenRevoked, ""))
	b.want(t, RunTimedOut, NodeCancelled)
	if b.RetStat != StatJobTimeout {
		t.Errorf("ret_stat %s", b.RetStat)
	}
}

func TestFinishedRunDoesNotTimeOut(t *testing.T) {
	b := newBench(t, New("x").Timeout(time.Minute).Node("a", "t"))
	b.now = start.Add(time.Hour)
	b.see(b.report("a", 1, SeenSuccess, "1"))
	b.want(t, RunSucceeded, NodeSucceeded)
}

func TestSilentTaskOfCancelledRunIsGivenUp(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t"))
	b.see(b.report("a", 1, SeenPublished, ""))
	b.Desired = DesiredCancel
	revokes := 0
	for !b.State.Terminal() && b.now.Before(start.Add(time.Hour)) {
		b.see()
		revokes += len(b.last.Revoke)
		b.now = b.last.Wake
	}
	b.want(t, RunCancelled, NodeCancelled)
	if revokes != 6 {
		t.Errorf("%d revokes in three minutes", revokes)
	}
}

func TestNodeTimeoutBackstop(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t", Timeout(time.Minute)))
	b.see(b.report("a", 1, SeenStarted, ""))
	b.now = b.last.Wake
	b.see()
	b.want(t, RunFailed, NodeFailed)
	if b.RetStat != StatTaskTimeout {
		t.Errorf("ret_stat %s", b.RetStat)
	}
}

func TestXingQiaoReplies(t *testing.T) {
	b := newBench(t, New("x").Reply(ReplyXingQiao).Node("a", "t", Save()))
	b.see(b.report("a", 1, SeenSuccess, `{"stat": "ERR_DISK", "left": 0}`))
	b.want(t, RunFailed, NodeFailed)
	if b.RetStat != "ERR_DISK" {
		t.Errorf("ret_stat %s", b.RetStat)
	}
	b = newBench(t, New("x").Reply(ReplyXingQiao).Node("a", "t", Save(), Provides("u", "v")))
	b.see(b.report("a", 1, SeenSuccess, `{"stat": "OK", "u": 1}`))
	b.want(t, RunFailed, NodeFailed)
	b = newBench(t, New("x").Reply(ReplyXingQiao).Node("a", "t", Save(), Provides("u", "v")))
	b.see(b.report("a", 1, SeenSuccess, `{"stat": "OK", "u": 1, "v": 2}`))
	if b.want(t, RunSucceeded); string(b.RetData) != `{"u": 1, "v": 2}` {
		t.Errorf("saved %s", b.RetData)
	}
}

func TestUnresolvableArgumentFailsTheNode(t *testing.T) {
	b := newBench(t, New("x").Node("a", "t").Node("b", "t", After("a"), Args("${nodes.a.result.k}")))
	b.see(b.report("a", 1, SeenSuccess, "5"))
	b.want(t, RunFailed, NodeSucceeded, NodeFailed)
	if b.Nodes[1].Attempt != 0 || b.RetStat != StatBadParams {
		t.Errorf("attempt %d, %s", b.Nodes[1].Attempt, b.RetStat)
	}
}
