package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/worker"
)

// ledger counts executions per task id.
type ledger struct {
	mu  sync.Mutex
	ran map[string]int
}

func (l *ledger) note(id string) {
	l.mu.Lock()
	l.ran[id]++
	l.mu.Unlock()
}

func (l *ledger) count(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ran[id]
}

// sharedTasks registers what the Python application has too, and a chord body of
// our own.
func sharedTasks(l *ledger) func(*worker.Worker) {
	return func(w *worker.Worker) {
		worker.Must(worker.Func(w, "shared.mark", func(ctx context.Context, i int) (int, error) {
			l.note(worker.FromContext(ctx).ID)
			time.Sleep(2 * time.Millisecond) // work, so that the other worker gets its share
			return i, nil
		}))
		worker.Must(worker.Func(w, "go.total", func(_ context.Context, numbers []int) (int, error) {
			total := 0
			for _, n := range numbers {
				total += n
			}
			return total, nil
		}))
	}
}

// Go and Python workers on one queue: each takes a share, nothing is lost or run
// twice, and what only Python registers reaches Python.
func TestShareAQueue(t *testing.T) {
	everyStage(t, func(t *testing.T, s stage, venv string) {
		const count = 300
		ran := filepath.Join(t.TempDir(), "ran")
		testenv.StartCelery(t, testenv.Celery{
			Venv: venv, App: "testdata/pyapp.py", Broker: s.broker, Backend: s.backend,
			Args: []string{"-c", "2", "-n", "py@interop"}, Env: []string{"RAN=" + ran},
		})
		here := &ledger{ran: map[string]int{}}
		startWorker(t, s, worker.Config{
			Name: "umbel@interop", Concurrency: 2, Queues: []broker.Queue{{Name: "celery"}, {Name: "go"}},
		}, sharedTasks(here))
		args := append([]string{s.broker, s.backend, fmt.Sprint(count)}, s.flags()...)
		p := testenv.StartPython(t, venv, "testdata/share.py", args...)
		if code := p.Wait(120 * time.Second); code != 0 {
			t.Fatalf("share.py ended with %d", code)
		}
		there := readLines(t, ran)
		here.mu.Lock()
		defer here.mu.Unlock()
		t.Logf("Go ran %d, Python %d", len(here.ran), len(there))
		if len(here.ran) == 0 || len(there) <= 10 {
			t.Errorf("one side took nothing: Go %d, Python %d (10 of them only its own)", len(here.ran), len(there))
		}
		for _, id := range there {
			here.ran[id]++
		}
		want := count + 10
		if s.chords {
			want += 2 * 20
		}
		if len(here.ran) != want {
			t.Errorf("%d different tasks ran, want %d", len(here.ran), want)
		}
		for id, n := range here.ran {
			if n != 1 {
				t.Errorf("task %s ran %d times", id, n)
			}
		}
	})
}

// A Go client's canvas runs on a Python worker.
func TestGoProducerPythonWorker(t *testing.T) {
	everyStage(t, func(t *testing.T, s stage, venv string) {
		testenv.StartCelery(t, testenv.Celery{
			Venv: venv, App: "testdata/pyapp.py", Broker: s.broker, Backend: s.backend,
			Args: []string{"-c", "2", "-n", "py@interop"},
		})
		c := openClient(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		plain, err := c.Send(ctx, client.Task("shared.mark", 7))
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if err := plain.Get(ctx, &got); err != nil || got != 7 {
			t.Fatalf("got %d, %v", got, err)
		}
		r, err := c.Send(ctx, client.Group(client.Task("shared.mark", 1), client.Task("shared.mark", 2)))
		if err != nil {
			t.Fatal(err)
		}
		var list []int
		if err := r.Get(ctx, &list); err != nil || fmt.Sprint(list) != "[1 2]" {
			t.Errorf("group gave %v, %v", list, err)
		}
		if !s.chords {
			return
		}
		header := client.Group(client.Task("shared.mark", 1), client.Task("shared.mark", 2), client.Task("shared.mark", 3))
		r, err = c.Send(ctx, client.Chain(header, client.Task("py.total")))
		if err != nil {
			t.Fatal(err)
		}
		var total int
		if err := r.Get(ctx, &total); err != nil || total != 6 {
			t.Errorf("chord gave %d, %v", total, err)
		}
	})
}

func readLines(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}
