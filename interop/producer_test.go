package interop

import (
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
