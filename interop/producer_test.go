package interop

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/worker"
	"github.com/umbel-go/umbel/worker/builtin"
)

// A plain Python producer gets what it expects from a Go worker: values,
// failures, countdown, canvas, remote control.
func TestPythonProducerGoWorker(t *testing.T) {
	everyStage(t, func(t *testing.T, s stage, venv string) {
		startWorker(t, s, worker.Config{Name: "umbel@interop", Concurrency: 4}, func(w *worker.Worker) {
			if err := builtin.RegisterDemo(w); err != nil {
				t.Fatal(err)
			}
		})
		args := append([]string{s.broker, s.backend, "--node", "umbel@interop"}, s.flags()...)
		p := testenv.StartPython(t, venv, "testdata/producer.py", args...)
		if code := p.Wait(120 * time.Second); code != 0 {
			t.Fatalf("producer ended with %d", code)
		}
	})
}

// The same holds for the stock program beside a Python worker that registers
// the same tasks: whichever takes a message, the producer cannot tell.
func TestPythonProducerBothWorkers(t *testing.T) {
	for name, open := range stages {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			testenv.StartCelery(t, testenv.Celery{
				Venv: "celery57", App: "testdata/pyapp.py", Broker: s.broker, Backend: s.backend,
				Args: []string{"-c", "2", "-n", "py@interop"}, Env: []string{"DEMO=1"},
			})
			w := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-c", "2", "-n", "umbel@interop",
				"-b", s.broker, "--result-backend", s.backend))
			w.WaitLine("worker is ready", 20*time.Second)
			args := append([]string{s.broker, s.backend, "--node", "umbel@interop"}, s.flags()...)
			p := testenv.StartPython(t, "celery57", "testdata/producer.py", args...)
			if code := p.Wait(120 * time.Second); code != 0 {
				t.Fatalf("producer ended with %d", code)
			}
			w.Signal(syscall.SIGTERM)
			if code := w.Wait(20 * time.Second); code != 0 {
				t.Errorf("worker ended with %d after SIGTERM, want 0", code)
			}
		})
	}
}
