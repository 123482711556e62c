package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
)

// program is a running `umbel up`.
type program struct {
	*testenv.Process
	site   string // http://127.0.0.1:port
	broker string
}

// up starts `umbel up` on ports of its own and returns once it says it is up.
func up(t *testing.T, data string, extra ...string) program {
	t.Helper()
	return upOn(t, data, testenv.FreePort(t), testenv.FreePort(t), extra...)
}

func upOn(t *testing.T, data string, site, broker int, extra ...string) program {
	t.Helper()
	return start(t, upCommand(t, data, site, broker, extra...), site, broker)
}

func upCommand(t *testing.T, data string, site, broker int, extra ...string) *exec.Cmd {
	t.Helper()
	args := append([]string{"up", "--data", data,
		"--listen", fmt.Sprintf("127.0.0.1:%d", site), "--broker-listen", fmt.Sprintf("127.0.0.1:%d", broker)}, extra...)
	return exec.Command(testenv.Umbel(t), args...)
}

func start(t *testing.T, cmd *exec.Cmd, site, broker int) program {
	t.Helper()
	p := testenv.Start(t, cmd)
	p.WaitLine("Umbel is up.", 60*time.Second)
	return program{p, fmt.Sprintf("http://127.0.0.1:%d", site), fmt.Sprintf("redis://127.0.0.1:%d/0", broker)}
}

// get reads a URL of the site.
func (p program) get(path string) (string, error) {
	resp, err := http.Get(p.site + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	return string(body), err
}

// getJSON reads JSON of the site.
func (p program) getJSON(path string, into any) error {
	body, err := p.get(path)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), into)
}

// post sends a body and reads the JSON answer.
func (p program) post(path, contentType, body string, into any) error {
	resp, err := http.Post(p.site+path, contentType, strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s: %s", path, resp.Status, answer)
	}
	return json.Unmarshal(answer, into)
}

// The first command of the README: it serves Python, shows what happens, and
// Ctrl-C ends all of it within five seconds.
func TestUpDemo(t *testing.T) {
	p := up(t, t.TempDir(), "--demo")
	testenv.Eventually(t, 20*time.Second, func() error {
		body, err := p.get("/")
		if err == nil && !strings.Contains(body, "umbel@") {
			err = errors.New("the dashboard shows no worker")
		}
		return err
	})
	testenv.Eventually(t, 20*time.Second, func() error {
		var stats struct{ Tasks map[string]int }
		if err := p.getJSON("/api/stats", &stats); err != nil {
			return err
		}
		if stats.Tasks["succeeded"] < 3 {
			return fmt.Errorf("no sample work flows: %v", stats.Tasks)
		}
		return nil
	})
	for _, path := range []string{"/workers", "/tasks", "/broker", "/workflows", "/metrics", "/healthcheck",
		"/api/workers", "/api/tasks?limit=3", "/api/queues", "/api/queues/length", "/api/stats", "/dashboard?json=1"} {
		if _, err := p.get(path); err != nil {
			t.Error(err)
		}
	}
	producer := testenv.StartPython(t, "celery57", "../interop/testdata/producer.py", p.broker, p.broker)
	if code := producer.Wait(90 * time.Second); code != 0 {
		t.Fatalf("producer ended with %d", code)
	}
	begun := time.Now()
	p.Signal(syscall.SIGINT)
	if code := p.Wait(15 * time.Second); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Ctrl-C took %v", took)
	}
	if broker := strings.TrimPrefix(strings.TrimSuffix(p.broker, "/0"), "redis://"); portOpen(broker) {
		t.Errorf("something still listens on the broker's %s", broker)
	}
}

// Where no Redis is installed the broker inside the process serves Python
// producers and workers just as well, and says what it is.
func TestUpWithoutRedisServer(t *testing.T) {
	site, broker := testenv.FreePort(t), testenv.FreePort(t)
	cmd := upCommand(t, t.TempDir(), site, broker, "--demo")
	cmd.Env = []string{"PATH=/nonexistent", "HOME=" + t.TempDir()}
	p := start(t, cmd, site, broker)
	p.WaitLine("keeps nothing", 5*time.Second)
	for _, venv := range []string{"celery57", "celery54"} {
		producer := testenv.StartPython(t, venv, "../interop/testdata/producer.py", p.broker, p.broker)
		if code := producer.Wait(90 * time.Second); code != 0 {
			t.Fatalf("%s: producer ended with %d", venv, code)
		}
	}
	testenv.StartCelery(t, testenv.Celery{
		Venv: "celery57", App: "../interop/testdata/pyapp.py", Broker: p.broker, Backend: p.broker,
		Args: []string{"-c", "1", "-n", "py@here"},
	})
	call := testenv.Start(t, exec.Command(testenv.Umbel(t), "call", "py.only", "-a", "[7]", "-b", p.broker, "--wait", "20s"))
	if code := call.Wait(40 * time.Second); code != 0 || !strings.Contains(call.Output(), "python 7") {
		t.Errorf("a Python worker on the embedded broker: exit code %d:\n%s", code, call.Output())
	}
}

// A second worker dies: the alert scripts, unchanged, tell who.
func TestAlertScripts(t *testing.T) {
	p := up(t, t.TempDir(), "--demo")
	w := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-b", p.broker, "-n", "doomed@here"))
	alerts := func() string {
		s := testenv.StartPython(t, "celery57", "testdata/alerts.py", p.site)
		if code := s.Wait(30 * time.Second); code != 0 {
			t.Fatalf("alerts.py ended with %d", code)
		}
		return s.Output()
	}
	online := func(want string) func() error {
		return func() error {
			var workers map[string]struct{ Status string }
			if err := p.getJSON("/api/workers", &workers); err != nil {
				return err
			}
			if got := workers["doomed@here"].Status; got != want {
				return fmt.Errorf("status %q, want %q", got, want)
			}
			return nil
		}
	}
	testenv.Eventually(t, 20*time.Second, online("online"))
	if out := alerts(); strings.Contains(out, "ALERT") {
		t.Errorf("alerts while all is well:\n%s", out)
	}
	w.Kill()
	testenv.Eventually(t, 60*time.Second, online("offline"))
	if out := alerts(); !strings.Contains(out, "ALERT Worker doomed@here is offline") {
		t.Errorf("the dead worker is not in:\n%s", out)
	}
}

type runAnswer struct {
	ID    int64
	State string
	Nodes []struct {
		Name, State, Worker string
		Attempt             int
		Result              json.RawMessage
	}
}

// A workflow over Go and Python workers goes on where it was when everything
// but Python is killed, and every node has one effect.
func TestWorkflowSurvivesKill(t *testing.T) {
	data, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	site, brokerPort := testenv.FreePort(t), testenv.FreePort(t)
	p := upOn(t, data, site, brokerPort, "--demo")
	testenv.StartCelery(t, testenv.Celery{
		Venv: "celery57", App: "../interop/testdata/pyapp.py", Broker: p.broker, Backend: p.broker,
		Args: []string{"-c", "1", "-Q", "python", "-n", "py@here"}, Env: []string{"RAN=" + ran},
	})
	var defined struct{ Name string }
	if err := p.post("/api/v1/workflows", "application/yaml", readFile(t, "testdata/workflow.yaml"), &defined); err != nil {
		t.Fatal(err)
	}
	var run runAnswer
	if err := p.post("/api/v1/workflows/mixed/runs", "application/json", "{}", &run); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/api/v1/runs/%d", run.ID)
	testenv.Eventually(t, 20*time.Second, func() error {
		var now runAnswer
		if err := p.getJSON(path, &now); err != nil {
			return err
		}
		for _, n := range now.Nodes {
			if n.Name == "a" && n.State == "succeeded" {
				return nil
			}
		}
		return errors.New("a has not succeeded")
	})
	p.Kill() // in the middle: c sleeps, b may be anywhere
	p.Wait(10 * time.Second)
	p = upOn(t, data, site, brokerPort, "--demo")
	testenv.Eventually(t, 60*time.Second, func() error {
		if err := p.getJSON(path, &run); err != nil {
			return err
		}
		if run.State != "succeeded" {
			return fmt.Errorf("run is %s: %+v", run.State, run.Nodes)
		}
		return nil
	})
	for _, n := range run.Nodes {
		if n.State != "succeeded" {
			t.Errorf("node %s is %s", n.Name, n.State)
		}
		if n.Name == "d" && string(n.Result) != `["python 3",2]` && string(n.Result) != `["python 3", 2.0]` && string(n.Result) != `["python 3",2.0]` {
			t.Errorf("d gave %s", n.Result)
		}
	}
	if got := strings.Fields(readFile(t, ran)); len(got) != 1 {
		t.Errorf("b ran %d times on Python: %v", len(got), got)
	}
}
