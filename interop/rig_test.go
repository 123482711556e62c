package interop

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/worker"
)

// Node names of the two workers of a rig.
const (
	goNode = "umbel@conf"
	pyNode = "py@conf"
)

// sendTimeout bounds what a Go producer waits for.
const sendTimeout = 20 * time.Second

// rig is what the checks of one column share: a Go and a Python worker, a Go and
// a Python producer, on one stage. The Go worker serves the queues go and both,
// the Python worker py and both.
type rig struct {
	stage
	venv   string
	peer   *peer
	client *client.Client
	python *testenv.Process
	ledger *ledger
}

func openRig(t testing.TB, open func(testing.TB) stage, venv string) *rig {
	t.Helper()
	r := &rig{stage: open(t), venv: venv, ledger: &ledger{ran: map[string]int{}}}
	cfg := goConfig()
	cfg.LegacyValues = venv == "celery44" // for chord_size
	startWorker(t, r.stage, cfg, suiteTasks(r.ledger))
	r.python = startPython(t, r.stage, venv)
	r.peer = startPeer(t, r.stage, venv)
	b, results := r.connect(t)
	r.client = client.New(client.Config{Broker: b, Backend: results, Route: sideOf, LegacyValues: cfg.LegacyValues})
	return r
}

func goConfig() worker.Config {
	return worker.Config{
		Name: goNode, Concurrency: 4, Queues: []broker.Queue{{Name: "go"}, {Name: "both"}},
		Route: sideOf, TaskEvents: true, TrackStarted: true,
	}
}

// sideClient is a Go producer that routes tasks as the Python one does.
func sideClient(t testing.TB, s stage) *client.Client {
	t.Helper()
	b, results := s.connect(t)
	return client.New(client.Config{Broker: b, Backend: results, Route: sideOf})
}

// sideOf routes a task to the queue that its name begins with, where that is one
// of ours.
func sideOf(task string) client.Destination {
	switch side, _, _ := strings.Cut(task, "."); side {
	case "go", "py", "both":
		return client.Destination{Queue: side}
	}
	return client.Destination{}
}

// startPython starts the Python worker of the suite.
func startPython(t testing.TB, s stage, venv string, env ...string) *testenv.Process {
	t.Helper()
	return testenv.StartCelery(t, suiteCelery(s, venv, env...))
}

func suiteCelery(s stage, venv string, env ...string) testenv.Celery {
	return testenv.Celery{
		Venv: venv, App: "testdata/conformance/app.py", Broker: s.broker, Backend: s.backend,
		Args: []string{"-c", "2", "-n", pyNode, "-Q", "py,both", "-E"}, Env: env,
	}
}

// eventually is testenv.Eventually for conditions that are asked of a peer.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	testenv.Eventually(t, sendTimeout, check)
}

// waitFor returns a context that bounds what a check of a Go producer waits for.
func waitFor(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	t.Cleanup(cancel)
	return ctx
}
