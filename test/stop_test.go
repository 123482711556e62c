package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
)

// brokerPid reads the process id of the embedded broker of a data folder.
func brokerPid(t *testing.T, data string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "broker", "*.pid"))
	if err != nil || len(files) != 1 {
		t.Fatalf("pid files: %v, %v", files, err)
	}
	pid, err := strconv.Atoi(strings.Fields(readFile(t, files[0]))[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// Whatever is in the way, Ctrl-C ends `up` within five seconds and leaves no
// process.
func TestUpEndsInFiveSeconds(t *testing.T) {
	tests := []struct {
		name     string
		obstruct func(t *testing.T, p program, data string)
	}{
		{"a connection that asks nothing", func(t *testing.T, p program, _ string) {
			c, err := net.Dial("tcp", strings.TrimPrefix(p.site, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}},
		{"an open stream", func(t *testing.T, p program, _ string) {
			c, err := net.Dial("tcp", strings.TrimPrefix(p.site, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			fmt.Fprintf(c, "GET /stream?topics=tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		}},
		{"a task that sleeps", func(t *testing.T, p program, _ string) {
			call := testenv.Start(t, exec.Command(testenv.Umbel(t), "call", "demo.sleep", "-a", "[60]", "-b", p.broker))
			if code := call.Wait(20 * time.Second); code != 0 {
				t.Fatalf("call ended with %d", code)
			}
		}},
		{"a broker that does not answer", func(t *testing.T, p program, data string) {
			if err := syscall.Kill(brokerPid(t, data), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			p := up(t, data, "--demo")
			broker := brokerPid(t, data)
			tt.obstruct(t, p, data)
			begun := time.Now()
			p.Signal(syscall.SIGINT)
			if code := p.Wait(30 * time.Second); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if testenv.Alive(broker) {
				t.Error("the embedded broker is left behind")
				_ = syscall.Kill(broker, syscall.SIGKILL)
			}
		})
	}
}

// Without its broker `up` cannot go on, and says so.
func TestUpWithoutItsBroker(t *testing.T) {
	data := t.TempDir()
	p := up(t, data, "--demo")
	if err := syscall.Kill(brokerPid(t, data), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(20 * time.Second); code != 1 || !strings.Contains(p.Output(), "the embedded broker ended by itself") {
		t.Errorf("exit code %d:\n%s", code, p.Output())
	}
}

// Two processes never write the same files.
func TestOneOwnerOfTheData(t *testing.T) {
	data := t.TempDir()
	up(t, data)
	second := testenv.Start(t, upCommand(t, data, testenv.FreePort(t), testenv.FreePort(t)))
	if code := second.Wait(20 * time.Second); code != 1 || !strings.Contains(second.Output(), "in use by another umbel") {
		t.Errorf("a second up: exit code %d:\n%s", code, second.Output())
	}
	db := filepath.Join(data, "own.db")
	monitor := func() *exec.Cmd {
		return exec.Command(testenv.Umbel(t), "monitor", "-b", "redis://127.0.0.1:1/0", "--db", db,
			"--address", "127.0.0.1", "--port", fmt.Sprint(testenv.FreePort(t)))
	}
	testenv.Start(t, monitor()).WaitLine("are served", 20*time.Second)
	other := testenv.Start(t, monitor())
	if code := other.Wait(20 * time.Second); code != 1 || !strings.Contains(other.Output(), "in use by another umbel") {
		t.Errorf("a second monitor: exit code %d:\n%s", code, other.Output())
	}
	if _, err := os.Stat(db); err != nil {
		t.Error(err)
	}
}

// The first signal lets a task finish, the second gives its message back.
func TestSecondSignalIsCold(t *testing.T) {
	url := testenv.Redis(t)
	w := testenv.Start(t, exec.Command(testenv.Umbel(t), "worker", "--demo", "-c", "1", "-b", url))
	w.WaitLine("worker is ready", 20*time.Second)
	call := testenv.Start(t, exec.Command(testenv.Umbel(t), "call", "demo.sleep", "-a", "[300]", "-b", url))
	call.Wait(20 * time.Second)
	w.WaitLine("task received", 20*time.Second)
	w.Signal(syscall.SIGTERM)
	w.WaitLine("warm shutdown", 20*time.Second)
	select {
	case <-w.Done():
		t.Fatal("the first signal did not wait for the task")
	default:
	}
	w.Signal(syscall.SIGTERM)
	if code := w.Wait(20 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(w.Output(), "goes back to the queue") {
		t.Error("the task's message was not given back")
	}
}
