package interop

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
)

// faultRows break something and look at what is left. They use workers and
// stages of their own where they end one.
var faultRows = []behaviour{
	{name: "kill -9 of a Go worker, Python recovers its task", run: goKilled},
	{name: "kill -9 of a Python worker, Go recovers its task", run: pythonKilled},
	{name: "visibility timeout of 5 s, a Go task of 12 s runs once", needs: redisOnly, run: outlivesVisibility},
	{name: "a Python worker restarts beside a Go worker", run: pythonRestarts},
	{name: "connections closed while idle, consumption resumes", run: connectionsClosed},
}

// fresh is the same stage with a database or vhost of its own.
func (r *rig) fresh(t testing.TB) stage { return stages[r.name](t) }

// impatient is the visibility timeout of the stages that lose a worker.
const impatient = 5

// goKilled kills the stock Go worker in the middle of a late-acknowledged task.
// Python gives the message back when the connection ends (RabbitMQ) or when its
// visibility timeout has passed and it looks, some ten seconds after its start
// (Redis).
func goKilled(t testing.TB, r *rig) {
	s, ran := r.fresh(t), filepath.Join(t.TempDir(), "ran")
	w := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-c", "2", "-n", goNode,
		"-b", s.broker, "--result-backend", s.backend))
	w.WaitLine("worker is ready", 30*time.Second)
	c, ctx := openClient(t, s), waitFor(t)
	result, err := c.Send(ctx, client.Task("demo.sleep", 5))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return mentions(t, c, goNode, "active", result.ID) })
	w.Kill()
	if s.name == onRedis {
		time.Sleep(impatient * time.Second) // the age at which Python takes it, not a condition
	}
	celery := suiteCelery(s, r.venv, "RAN="+ran, fmt.Sprint("VISIBILITY=", impatient))
	celery.Args = []string{"-c", "2", "-n", pyNode, "-Q", "celery"}
	testenv.StartCelery(t, celery)
	testenv.Eventually(t, 40*time.Second, func() error { return stored(t, c, result.ID) })
	if ids := readLines(t, ran); len(ids) != 1 || ids[0] != result.ID {
		t.Errorf("Python ran %v", ids)
	}
}

func pythonKilled(t testing.TB, r *rig) {
	s := r.fresh(t)
	p := startPython(t, s, r.venv, fmt.Sprint("VISIBILITY=", impatient))
	c := sideClient(t, s)
	result, err := c.Send(waitFor(t), client.Task("both.sleep_late", 5))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return mentions(t, c, pyNode, "active", result.ID) })
	p.Kill()
	here := &ledger{ran: map[string]int{}}
	if s.name == onRedis {
		s.visibility = impatient * time.Second
	}
	startWorker(t, s, goConfig(), suiteTasks(here))
	testenv.Eventually(t, 40*time.Second, func() error { return stored(t, c, result.ID) })
	if n := here.count(result.ID); n != 1 {
		t.Errorf("Go ran it %d times", n)
	}
}

// outlivesVisibility keeps a Go task running for longer than the visibility
// timeout of a Python worker on the same broker.
func outlivesVisibility(t testing.TB, r *rig) {
	s, ran := r.fresh(t), filepath.Join(t.TempDir(), "ran")
	startPython(t, s, r.venv, "RAN="+ran, fmt.Sprint("VISIBILITY=", impatient))
	here := &ledger{ran: map[string]int{}}
	if s.name == onRedis {
		s.visibility = impatient * time.Second
	}
	startWorker(t, s, goConfig(), suiteTasks(here))
	c := sideClient(t, s)
	result, err := c.Send(waitFor(t), client.Task("go.sleep_late", 12))
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 30*time.Second, func() error { return stored(t, c, result.ID) })
	time.Sleep(2 * time.Second) // a second run would have begun by now
	if n := here.count(result.ID); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// pythonRestarts starts a second Python worker while a Go worker, which knows of
// a revocation, is there: mingle must work and bring the revocation over.
func pythonRestarts(t testing.TB, r *rig) {
	s := r.fresh(t)
	startWorker(t, s, goConfig(), suiteTasks(&ledger{ran: map[string]int{}}))
	first := startPython(t, s, r.venv)
	c, ctx := sideClient(t, s), waitFor(t)
	result, err := c.Send(ctx, client.Task("py.add", 1, 1), client.Countdown(15*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	revoke(t, c, result.ID)
	eventually(t, func() error { return mentions(t, c, goNode, "revoked", result.ID) })
	if code := first.Stop(30 * time.Second); code != 0 {
		t.Errorf("the Python worker ended with %d", code)
	}
	second := startPython(t, s, r.venv)
	for _, p := range []*testenv.Process{first, second} {
		if out := p.Output(); strings.Contains(out, "Traceback") || strings.Contains(out, "CRITICAL") {
			t.Errorf("a Python worker logs a traceback: %s", excerpt(out, "Traceback"))
		}
	}
	second.WaitLine("mingle: sync complete", 5*time.Second)
	eventually(t, func() error { return mentions(t, c, pyNode, "revoked", result.ID) })
}

// connectionsClosed cuts every connection of the stage's broker while the Go
// worker and a Go producer are idle.
func connectionsClosed(t testing.TB, r *rig) {
	s := r.fresh(t)
	startWorker(t, s, goConfig(), suiteTasks(&ledger{ran: map[string]int{}}))
	p := &rig{stage: s, client: sideClient(t, s)}
	gives(3, client.Task("go.add", 1, 2))(t, p)
	for range 2 {
		if s.name == onRedis {
			cutRedis(t, s.broker)
		} else {
			cutRabbitMQ(t, s.broker)
		}
		testenv.Eventually(t, 30*time.Second, func() error {
			return attempt(t, func(t testing.TB) { gives(3, client.Task("go.add", 1, 2))(t, p) })
		})
	}
	startPython(t, s, r.venv)
	gives(3, client.Task("py.add", 1, 2))(t, p)
}

// cutRedis closes the connections that have selected the URL's database.
func cutRedis(t testing.TB, url string) {
	t.Helper()
	server, db, _ := strings.Cut(strings.TrimPrefix(url, "redis://"), "/")
	conn, err := redis.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	list, err := redis.String(conn.Do("CLIENT", "LIST"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		if id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " "); strings.Contains(line, " db="+db+" ") {
			if _, err := conn.Do("CLIENT", "KILL", "ID", id); err != nil {
				t.Fatal(err)
			}
		}
	}
}
