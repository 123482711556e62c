package monitor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/monitor/monitortest"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// epoch is when test clocks begin.
const epoch = 1795216400

// bench is a monitor with a broker and workers that tests play.
type bench struct {
	*Monitor
	t       *testing.T
	broker  *monitortest.Broker
	control *monitortest.Control
	now     *atomic.Int64 // Unix milliseconds
}

func start(t *testing.T, path string) *bench {
	t.Helper()
	b := &bench{t: t, broker: &monitortest.Broker{}, control: &monitortest.Control{}, now: &atomic.Int64{}}
	b.now.Store(epoch * 1000)
	m, err := New(Config{
		Sources: []Source{{Broker: b.broker, Control: b.control}}, Path: path, MaxAge: -1,
		Now: func() time.Time { return time.UnixMilli(b.now.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Monitor = m
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.stop() })
	b.until("a subscription", func() bool { return b.broker.Subscribers() == 1 })
	return b
}

func (b *bench) stop() {
	b.t.Helper()
	if b.Monitor != nil {
		if err := b.Stop(); err != nil {
			b.t.Error(err)
		}
		b.Monitor = nil
	}
}

func (b *bench) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("no %s within 10 s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (b *bench) send(kind, hostname string, at float64, fields ...protocol.Field) {
	b.t.Helper()
	err := b.broker.Send(&protocol.Event{Type: kind, Hostname: hostname, PID: 7, Clock: int64(at), Timestamp: epoch + at, Fields: fields})
	if err != nil {
		b.t.Fatal(err)
	}
}

func field(name string, value any) protocol.Field { return protocol.Field{Name: name, Value: value} }

// task waits until a task is in a state.
func (b *bench) task(id, want string) Task {
	b.t.Helper()
	var got Task
	b.until(id+" in state "+want, func() bool {
		t, ok, err := b.Task(b.t.Context(), "", id)
		if err != nil {
			b.t.Fatal(err)
		}
		got = t
		return ok && t.State == want
	})
	return got
}

func TestFollowsGoldenEvents(t *testing.T) {
	b := start(t, "")
	file, err := os.Open("testdata/events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	want := state.New()
	for lines.Scan() {
		body := []byte(lines.Text())
		b.broker.SendBody(body)
		events, err := protocol.DecodeEvents(protocol.NewMessage(nil, body))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if _, err := want.Apply(e, epoch); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.until("all tasks", func() bool {
		n, err := b.CountTasks(t.Context(), Query{})
		return err == nil && n == want.TaskCount() && b.StateCounts("")["CUSTOM"] == 1
	})
	page, err := b.Tasks(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range page.Tasks {
		if w := want.Task(got.UUID); !reflect.DeepEqual(got.Task, w) {
			t.Errorf("got  %+v\nwant %+v", got.Task, w)
		}
	}
	w, ok, err := b.Worker(t.Context(), "", "g1@golden")
	if err != nil || !ok || w.Online || w.SwVer != "5.7.0" || w.Count("worker-heartbeat") != 4 || w.Count("task-received") != 11 {
		t.Errorf("worker %+v, %v, %v", w, ok, err)
	}
}

func TestStateOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	b := start(t, path)
	b.send("task-received", "w@h", 1, field("uuid", "one"), field("name", "add"), field("args", "(1,)"))
	b.send("worker-heartbeat", "w@h", 2, field("freq", 2.0))
	b.task("one", state.Received)
	b.stop()

	b = start(t, path)
	w, ok, err := b.Worker(t.Context(), "", "w@h")
	if err != nil || !ok || w.Count("task-received") != 1 || w.Freq != "2.0" {
		t.Errorf("worker %+v, %v, %v", w, ok, err)
	}
	b.send("task-succeeded", "w@h", 3, field("uuid", "one"), field("result", "1"))
	got := b.task("one", state.Success)
	if got.Name != "add" || got.Received != epoch+1 || got.Args.String != "(1,)" {
		t.Errorf("what an earlier process knew is lost: %+v", got.Task)
	}
	if n, _ := b.CountTasks(t.Context(), Query{}); n != 1 {
		t.Errorf("%d tasks", n)
	}
}

func TestLateEventOfAForgottenTask(t *testing.T) {
	b := start(t, "")
	b.send("task-succeeded", "w@h", 5, field("uuid", "one"), field("result", "1"))
	b.task("one", state.Success)
	b.until("memory without it", func() bool {
		b.sources[0].mu.RLock()
		defer b.sources[0].mu.RUnlock()
		return b.sources[0].state.TaskCount() == 0
	})
	b.send("task-received", "w@h", 1, field("uuid", "one"), field("name", "add"))
	b.until("its name", func() bool {
		got, _, err := b.Task(t.Context(), "", "one")
		return err == nil && got.Name == "add" && got.State == state.Success && got.Result.String == "1"
	})
}

func TestOnlineAndOffline(t *testing.T) {
	b := start(t, "")
	b.send("worker-online", "w@h", 0, field("freq", 2.0))
	look := func() Worker {
		w, _, err := b.Worker(t.Context(), "", "w@h")
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	b.until("the worker", func() bool { return look().Known })
	for _, tc := range []struct {
		at            int64
		alive, online bool
	}{{3, true, true}, {5, false, true}, {29, false, true}, {31, false, false}} {
		b.now.Store((epoch + tc.at) * 1000)
		if w := look(); w.Alive != tc.alive || w.Online != tc.online {
			t.Errorf("after %d s: alive %v, online %v", tc.at, w.Alive, w.Online)
		}
	}
	listed := func(all bool) int {
		workers, err := b.Workers(t.Context(), "", all)
		if err != nil {
			t.Fatal(err)
		}
		return len(workers)
	}
	if b.now.Store((epoch + 86399) * 1000); listed(false) != 1 {
		t.Error("purged too early")
	}
	if b.now.Store((epoch + 86400) * 1000); listed(false) != 0 || listed(true) != 1 {
		t.Error("not purged from lists after a day")
	}
	b.send("worker-heartbeat", "w@h", 86400)
	b.until("its return", func() bool { return look().Online })
	b.send("worker-offline", "w@h", 86401)
	b.until("its goodbye", func() bool { w := look(); return !w.Online && !w.Alive })
}

func TestInspectsWorkersThatAppear(t *testing.T) {
	b := start(t, "")
	b.control.Answer("w@h", "stats", protocol.Raw(`{"total": {"add": 3}, "pool": {"max-concurrency": 4}, "broker": {"hostname": "h", "alternates": ["amqp://u:p@h"]}}`))
	b.control.Answer("w@h", "active_queues", protocol.Raw(`[{"name": "celery"}, {"name": "mail"}]`))
	b.control.Answer("w@h", "registered", protocol.Raw(`["add [rate_limit=1/s]", "mul"]`))
	b.control.Answer("w@h", "conf", protocol.Raw(`{"error": "no"}`))
	b.send("worker-online", "w@h", 0)
	b.until("answers", func() bool { return len(b.LiveNodes()) == 1 && len(b.LiveNodes()[0].Tasks) == 2 })
	want := Node{"w@h", "h", []string{"celery", "mail"}, []string{"add", "mul"}}
	b.until("queues", func() bool { return len(b.LiveNodes()[0].Queues) == 2 })
	if got := b.LiveNodes()[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("node %+v", got)
	}
	if got := b.Registered("mul"); !reflect.DeepEqual(got, []string{"w@h"}) || b.Registered("x") != nil {
		t.Errorf("registered %v", got)
	}
	if err := b.Refresh(t.Context(), "", "w@h"); err != nil {
		t.Fatal(err)
	}
	w, _, err := b.Worker(t.Context(), "", "w@h")
	if err != nil || w.Concurrency() != 4 || w.CompletedCount() != 3 || strings.Contains(string(w.Inspect.Answers["stats"]), "alternates") {
		t.Errorf("worker %+v, %v", w, err)
	}
	if _, ok := w.Inspect.Answers["conf"]; ok {
		t.Error("a refusal was taken for an answer")
	}
	for _, method := range InspectMethods {
		if len(b.control.Sent(method)) == 0 {
			t.Errorf("%s was never asked", method)
		}
	}
}

func TestQueuesAndStats(t *testing.T) {
	b := start(t, "")
	b.broker.SetQueue(broker.QueueInfo{Name: "celery", Messages: 5, Ready: 4, Unacked: 1, Consumers: -1, Oldest: time.Unix(epoch-10, 0)})
	b.control.Answer("w@h", "active_queues", protocol.Raw(`[{"name": "mail"}, {"name": "celery"}]`))
	b.send("worker-online", "w@h", 0)
	for i, kind := range []string{"received", "started", "succeeded", "failed", "retried", "sent"} {
		b.send("task-"+kind, "w@h", float64(i), field("uuid", kind))
	}
	b.send("task-failed", "w@h", 7, field("uuid", "failed")) // a second event for one task
	b.task("sent", state.Pending)
	b.until("queues of the worker", func() bool { return len(b.LiveNodes()) == 1 && len(b.LiveNodes()[0].Queues) == 2 })
	b.now.Store((epoch + 2) * 1000)
	queues, err := b.Queues(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []Queue{
		{Name: "celery", Messages: 5, Ready: 4, Unacked: 1, Consumers: 1, OldestAge: 12 * time.Second, Workers: []string{"w@h"}},
		{Name: "mail", Consumers: 1, IdleSince: queues[1].IdleSince, Workers: []string{"w@h"}},
	}
	if !reflect.DeepEqual(queues, want) || queues[1].IdleSince.IsZero() {
		t.Errorf("queues %+v", queues)
	}
	if n, ok := b.QueueDepth("celery"); n != 5 || !ok {
		t.Errorf("depth %d, %v", n, ok)
	}
	s, err := b.Stats(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	wantStats := Stats{Active: 1, Received: 1, Failed: 1, Succeeded: 1, Retried: 1, Online: 1,
		Queues: map[string]int{"celery": 5, "mail": 0}, SucceededPerMinute: 1, FailedPerMinute: 1, Uptime: 2 * time.Second}
	if !reflect.DeepEqual(s, wantStats) || s.Processed() != 5 {
		t.Errorf("stats %+v", s)
	}
	b.broker.Break()
	b.now.Store((epoch + 4) * 1000)
	if _, err := b.Queues(t.Context(), ""); err == nil {
		t.Error("a dead broker has queues")
	}
}

func TestGapsAreToldAndWorkersWoken(t *testing.T) {
	b := start(t, "")
	b.until("a wake-up call", func() bool { return len(b.control.Sent("heartbeat")) == 1 && len(b.control.Sent("enable_events")) >= 1 })
	b.broker.Break()
	b.until("a gap", func() bool { s := b.Brokers()[0]; return !s.Connected && len(s.Gaps) == 1 && s.Gaps[0].To.IsZero() })
	b.now.Store((epoch + 9) * 1000)
	b.broker.Mend()
	b.until("its end", func() bool { s := b.Brokers()[0]; return s.Connected && !s.Gaps[0].To.IsZero() })
	b.until("another wake-up call", func() bool { return len(b.control.Sent("heartbeat")) == 2 })
	if lost := b.sources[0].link.lost(); lost != 9*time.Second {
		t.Errorf("lost %v", lost)
	}
}

func TestOverflowIsRecorded(t *testing.T) {
	q := newFrames(2 * (frameOverhead + 10))
	message := protocol.NewMessage(nil, make([]byte, 10))
	for i, want := range []bool{false, false, true, false} {
		if got := q.push(frame{message, 0}); got != want {
			t.Errorf("frame %d: overflow %v", i, got)
		}
	}
	frames, dropped := q.pop(1)
	if len(frames) != 1 || dropped != 2 || q.bytes != frameOverhead+10 {
		t.Errorf("%d frames, %d dropped, %d bytes left", len(frames), dropped, q.bytes)
	}
	if q.push(frame{message, 0}) {
		t.Error("no room after a pop")
	}
}

func TestChangesReachReaders(t *testing.T) {
	b := start(t, "")
	changes, end := b.Changes()
	slow, _ := b.Changes()
	b.send("task-started", "w@h", 1, field("uuid", "one"))
	c := <-changes
	if c.TaskID != "one" || c.State != state.Started || c.Worker != "w@h" || !c.Joined || c.Before != "" {
		t.Errorf("%+v", c)
	}
	end()
	if _, open := <-changes; open {
		t.Error("open after its end")
	}
	for i := range changeBuffer + 1 {
		b.send("task-started", "w@h", float64(i), field("uuid", fmt.Sprint(i)))
	}
	b.until("the slow reader dropped", func() bool { _, evicted := b.hub.figures(); return evicted == 1 })
	for range slow { // ends, because the channel was closed
	}
}

func TestForgottenWorkerComesBack(t *testing.T) {
	b := start(t, "")
	known := func() bool { _, ok, _ := b.Worker(t.Context(), "", "w@h"); return ok }
	b.send("worker-online", "w@h", 1)
	b.until("the worker", known)
	if err := b.ForgetWorker(t.Context(), "", "w@h"); err != nil || known() {
		t.Errorf("still there: %v", err)
	}
	b.send("worker-heartbeat", "w@h", 2)
	b.until("its return", known)
	if w, _, _ := b.Worker(t.Context(), "", "w@h"); w.Count("worker-online") != 0 {
		t.Errorf("counters remain: %+v", w.Counters)
	}
}

func TestDiskFailureKeepsEvents(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "m.db"))
	s := b.sources[0]
	b.send("task-started", "w@h", 1, field("uuid", "one"))
	b.task("one", state.Started)
	// A second writer holds the file for longer than the busy timeout would
	// take; here the batch is failed by hand.
	s.mu.Lock()
	s.state.PutTask(&state.Task{UUID: "two", State: state.Success, Timestamp: 5})
	s.pending.task("two", true)
	s.mu.Unlock()
	if batch := s.takeBatch(); batch != nil {
		s.committed(context.Background(), sqlitex.ErrNewerSchema)
	}
	b.task("two", state.Success)
	b.until("both stored", func() bool {
		n, err := b.CountTasks(t.Context(), Query{})
		return err == nil && n == 2
	})
}

func TestFoldClient(t *testing.T) {
	for in, want := range map[string]string{
		"gen123@h": "gen@h", "gen@h": "gen@h", "general@h": "general@h", "gen12": "gen12", "celery@h": "celery@h",
	} {
		if got := foldClient(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
