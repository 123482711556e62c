package testenv

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// workerTimeout is how long a Python worker may take to get ready on a busy
// machine.
const workerTimeout = 60 * time.Second

// Python returns the path of the interpreter of a virtual environment:
//
//	celery57         Celery 5.7, redis-py 8, Flower 2.2, requests
//	celery57-redis7  Celery 5.7, redis-py 7
//	celery56         Celery 5.6, kombu 5.6, redis-py 6.4
//	celery54         Celery 5.4, kombu 5.4, redis-py 5.0
//	celery52         Celery 5.2, kombu 5.2, redis-py 4.6; only when Full
//	celery44         Celery 4.4, kombu 4.6, redis-py 3.5; only when Full
//
// All have msgpack, PyYAML, zstandard and brotli.
func Python(t testing.TB, venv string) string {
	t.Helper()
	var folders map[string]string
	if err := json.Unmarshal([]byte(variable(t, pythonsVar)), &folders); err != nil {
		t.Fatalf("read %s: %v", pythonsVar, err)
	}
	folder, ok := folders[venv]
	if !ok {
		t.Fatalf("there is no Python environment %q in %v", venv, folders)
	}
	return filepath.Join(folder, "bin", "python")
}

// StartPython runs a Python program in its own folder. Its output is not
// buffered.
func StartPython(t testing.TB, venv, script string, args ...string) *Process {
	t.Helper()
	return Start(t, PythonCommand(t, venv, script, args...))
}

// PythonCommand is the command of StartPython, for a test that wants to add
// environment variables or to read standard output alone.
func PythonCommand(t testing.TB, venv, script string, args ...string) *exec.Cmd {
	t.Helper()
	script, err := filepath.Abs(script)
	if err != nil {
		t.Fatalf("find %s: %v", script, err)
	}
	cmd := exec.Command(Python(t, venv), append([]string{script}, args...)...)
	cmd.Dir = filepath.Dir(script)
	cmd.Env = pythonEnv()
	return cmd
}

// Celery says which Python worker to start.
type Celery struct {
	Venv    string   // as for Python
	App     string   // path of the Python file that defines the app
	Broker  string   // broker URL; empty: what the app says
	Backend string   // result backend URL; empty: what the app says
	Args    []string // after "worker -l info", such as "-c", "1", "-Q", "celery"
	Env     []string // more environment, as NAME=value
}

// StartCelery starts a Python Celery worker and returns once it is ready. Its
// app also finds the URLs in CELERY_BROKER_URL and CELERY_RESULT_BACKEND.
func StartCelery(t testing.TB, c Celery) *Process {
	t.Helper()
	p := Start(t, c.Command(t, append([]string{"worker", "-l", "info"}, c.Args...)...))
	p.WaitLine(" ready.", workerTimeout)
	return p
}

// Command is the celery program with this app and any subcommand: "inspect",
// "ping" or "flower", "--port=5555". Venv, App, Broker, Backend and Env are used.
func (c Celery) Command(t testing.TB, subcommand ...string) *exec.Cmd {
	t.Helper()
	app, err := filepath.Abs(c.App)
	if err != nil {
		t.Fatalf("find %s: %v", c.App, err)
	}
	args := []string{"-m", "celery", "-A", strings.TrimSuffix(filepath.Base(app), ".py")}
	env := pythonEnv()
	if c.Broker != "" {
		args = append(args, "-b", c.Broker)
		env = append(env, "CELERY_BROKER_URL="+c.Broker)
	}
	if c.Backend != "" {
		args = append(args, "--result-backend", c.Backend)
		env = append(env, "CELERY_RESULT_BACKEND="+c.Backend)
	}
	cmd := exec.Command(Python(t, c.Venv), append(args, subcommand...)...)
	cmd.Dir = filepath.Dir(app)
	cmd.Env = append(env, c.Env...)
	return cmd
}

// pythonEnv leaves no compiled files in the checkout.
func pythonEnv() []string {
	return append(os.Environ(), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
}
