package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/worker"
)

// brokerRows are about queues of special kinds and about Celery's own tools.
var brokerRows = []behaviour{
	{name: "celery inspect, every command", smoke: true, run: inspectProgram},
	{name: "celery control", run: controlProgram},
	{name: "celery status", run: statusProgram},
	{name: "Flower 2.2 shows worker and tasks", since: "5.7", run: besideFlower},
	{name: "queued tasks run by priority", needs: redisOnly, run: byPriority},
	{name: "quorum queue", needs: amqpOnly, run: typedQueue("quorum")},
	{name: "priority queue (x-max-priority)", needs: amqpOnly, run: typedQueue("priority")},
	{name: "quorum queue shared with a Python worker", needs: amqpOnly, since: "5.6", run: sharedQuorum},
	{name: "native delayed delivery", needs: amqpOnly, since: "5.6", run: nativeDelay},
	{name: "chord over Celery 5.6, 5.7 and Go", needs: chords, since: "5.7", run: threeGenerations},
}

// program runs the celery program of the column's version against the rig's
// workers and returns what it prints.
func (r *rig) program(t testing.TB, args ...string) string {
	t.Helper()
	p := testenv.Start(t, suiteCelery(r.stage, r.venv).Command(t, args...))
	if code := p.Wait(40 * time.Second); code != 0 {
		t.Errorf("celery %s ended with %d: %s", strings.Join(args, " "), code, p.Output())
	}
	return p.Output()
}

func inspectProgram(t testing.TB, r *rig) {
	for _, command := range []string{"ping", "registered", "stats", "active", "reserved", "scheduled", "revoked", "active_queues", "conf", "report", "clock"} {
		out := r.program(t, "inspect", command, "-d", goNode, "-t", "5")
		if !strings.Contains(out, goNode) || strings.Contains(out, "Traceback") || strings.Contains(out, "ERROR") {
			t.Errorf("celery inspect %s: %s", command, out)
		}
	}
}

func controlProgram(t testing.TB, r *rig) {
	for _, command := range []string{"enable_events", "rate_limit go.add 100/s", "rate_limit go.add 0", "time_limit go.add 10 20", "pool_grow 1", "pool_shrink 1",
		"add_consumer program", "cancel_consumer program"} {
		out := r.program(t, append([]string{"control", "-d", goNode, "-t", "5"}, strings.Fields(command)...)...)
		if !strings.Contains(out, "OK") || strings.Contains(out, "Traceback") || strings.Contains(out, "ERROR") {
			t.Errorf("celery control %s: %s", command, out)
		}
	}
}

func statusProgram(t testing.TB, r *rig) {
	out := r.program(t, "status")
	for _, node := range []string{goNode, pyNode} {
		if !strings.Contains(out, node+": OK") {
			t.Errorf("celery status lacks %s: %s", node, out)
		}
	}
}

// besideFlower lets Flower watch the rig's workers.
func besideFlower(t testing.TB, r *rig) {
	port := testenv.FreePort(t)
	celery := suiteCelery(r.stage, r.venv, "FLOWER_UNAUTHENTICATED_API=true")
	p := testenv.Start(t, celery.Command(t, "flower", "--address=127.0.0.1", fmt.Sprint("--port=", port)))
	p.WaitLine("Connected to", time.Minute)
	base := fmt.Sprintf("http://127.0.0.1:%d/api/", port)
	var online map[string]bool
	eventually(t, func() error {
		if err := fetchJSON(base+"workers?status=1", &online); err != nil {
			return err
		}
		if !online[goNode] || !online[pyNode] {
			return fmt.Errorf("Flower sees %v", online)
		}
		return nil
	})
	gives(3, client.Task("go.add", 1, 2))(t, r)
	eventually(t, func() error {
		var tasks map[string]struct{ Name, State, Result, Worker string }
		if err := fetchJSON(base+"tasks?workername="+goNode, &tasks); err != nil {
			return err
		}
		for _, task := range tasks {
			if task.Name == "go.add" && task.State == "SUCCESS" && task.Result == "3" {
				return nil
			}
		}
		return fmt.Errorf("Flower has %v", tasks)
	})
}

func fetchJSON(url string, into any) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
		return fmt.Errorf("GET %s: %s: %s", url, answer.Status, text)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// byPriority queues tasks from Python before the Go worker starts: it must run
// them by kombu's steps, 0 first, and by age within a step.
func byPriority(t testing.TB, r *rig) {
	s := r.fresh(t)
	producer := startPeer(t, s, r.venv)
	if err := producer.check("queue_by_priority", "go", nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var order []int
	cfg := goConfig()
	cfg.Concurrency = 1
	startWorker(t, s, cfg, func(w *worker.Worker) {
		worker.Must(worker.Func(w, "go.mark", func(_ context.Context, i int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, i)
			return i, nil
		}))
	})
	want := fmt.Sprint([]int{7, 8, 9, 17, 18, 19, 4, 5, 6, 14, 15, 16, 1, 2, 3, 11, 12, 13, 0, 10})
	eventually(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(order); got != want {
			return fmt.Errorf("ran in the order %s, want %s", got, want)
		}
		return nil
	})
}

// typedArgs are the queue arguments by kind, as app.py has them for TYPED.
var typedArgs = map[string]map[string]any{
	"quorum":   {"x-queue-type": "quorum"},
	"priority": {"x-max-priority": 10},
}

// typed is the queue of a kind, as app.py declares it.
func typed(kind string) broker.Queue {
	return broker.Queue{Name: "typed", Exchange: "typed", Kind: "topic", RoutingKey: "typed", Args: typedArgs[kind]}
}

// goOnTyped starts a Go worker on a queue of a kind, besides go and both.
func goOnTyped(t testing.TB, s stage, kind string) {
	t.Helper()
	cfg := goConfig()
	cfg.Queues = append(cfg.Queues, typed(kind))
	startWorker(t, s, cfg, suiteTasks(&ledger{ran: map[string]int{}}))
}

// typedQueue runs tasks of a Python producer from a queue that it declares.
func typedQueue(kind string) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		s := r.fresh(t)
		goOnTyped(t, s, kind)
		producer := startPeer(t, s, r.venv, "TYPED="+kind)
		if err := producer.check("through_typed", "go", nil); err != nil {
			t.Error(err)
		}
	}
}

func sharedQuorum(t testing.TB, r *rig) {
	s := r.fresh(t)
	goOnTyped(t, s, "quorum")
	celery := suiteCelery(s, r.venv, "TYPED=quorum")
	celery.Args = []string{"-c", "2", "-n", pyNode, "-Q", "typed"}
	testenv.StartCelery(t, celery)
	producer := startPeer(t, s, r.venv, "TYPED=quorum")
	if err := producer.check("shared_typed", "both", nil); err != nil {
		t.Error(err)
	}
}

// nativeDelay lets Python delay a message inside RabbitMQ for the Go worker,
// which has nobody but itself to declare what the message passes through.
func nativeDelay(t testing.TB, r *rig) {
	s := r.fresh(t)
	goOnTyped(t, s, "quorum")
	producer := startPeer(t, s, r.venv, "TYPED=quorum")
	if err := producer.check("delayed_typed", "go", nil); err != nil {
		t.Error(err)
	}
}

// threeGenerations adds a Celery 5.6 worker to the rig's 5.7 and Go for a while.
func threeGenerations(t testing.TB, r *rig) {
	s := r.fresh(t)
	startWorker(t, s, goConfig(), suiteTasks(&ledger{ran: map[string]int{}}))
	startPython(t, s, "celery57")
	older := suiteCelery(s, "celery56")
	older.Args = []string{"-c", "2", "-n", "old@conf", "-Q", "both"}
	testenv.StartCelery(t, older)
	producer := startPeer(t, s, r.venv)
	for range 3 {
		if err := producer.check("chord_many", "both", 60); err != nil {
			t.Error(err)
		}
	}
	if err := producer.check("chord_failure_either", "both", nil); err != nil {
		t.Error(err)
	}
}
