package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/internal/testenv/requirements"
	"github.com/umbel-go/umbel/internal/testenv/server"
)

const patience = 30 * time.Second

// build returns the path of this program.
func build(t *testing.T) string {
	t.Helper()
	if _, err := server.FindRedis(); err != nil {
		testenv.Missing(t, "%v", err)
	}
	path := filepath.Join(t.TempDir(), "run")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// withRedis is this program around a shell script. Some tests kill it, then its
// folder stays behind.
func withRedis(t *testing.T, program, script string) *exec.Cmd {
	cmd := exec.Command(program, "-with", "redis", "--", "sh", "-c", script)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	return cmd
}

func awaitGone(t *testing.T, pid int) {
	t.Helper()
	testenv.Eventually(t, patience, func() error {
		if testenv.Alive(pid) {
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
}

// after returns what follows prefix on the line of p that starts with it.
func after(p *testenv.Process, prefix string) string {
	return strings.TrimPrefix(p.WaitLine(prefix, patience), prefix)
}

// pid reads a process id that the script of p tells.
func pid(t *testing.T, p *testenv.Process, prefix string) int {
	t.Helper()
	n, err := strconv.Atoi(after(p, prefix))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tellServer makes a script tell the server's process id.
const tellServer = `redis-cli -u $UMBEL_TEST_REDIS info server | tr -d '\r' | sed -n 's/^process_id:/server /p'; `

func TestRun(t *testing.T) {
	program := build(t)
	t.Run("passes the exit code on and ends the server", func(t *testing.T) {
		p := testenv.Start(t, withRedis(t, program, tellServer+"echo url $UMBEL_TEST_REDIS; exit 5"))
		if url := after(p, "url "); !strings.HasPrefix(url, "redis://127.0.0.1:") {
			t.Errorf("url %q", url)
		}
		server := pid(t, p, "server ")
		if code := p.Wait(patience); code != 5 {
			t.Errorf("exit code %d", code)
		}
		if testenv.Alive(server) {
			t.Error("the server lives on")
		}
	})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("hands on "+sig.String(), func(t *testing.T) {
			p := testenv.Start(t, withRedis(t, program,
				tellServer+"trap 'echo got it; exit 6' INT TERM; echo looping; while :; do sleep 0.01; done"))
			server := pid(t, p, "server ")
			p.WaitLine("looping", patience)
			p.Signal(sig)
			p.WaitLine("got it", patience)
			if code := p.Wait(patience); code != 6 {
				t.Errorf("exit code %d", code)
			}
			if testenv.Alive(server) {
				t.Error("the server lives on")
			}
		})
	}
	t.Run("ends what the command leaves behind", func(t *testing.T) {
		p := testenv.Start(t, withRedis(t, program, "setsid sleep 600 & echo left $!"))
		left := pid(t, p, "left ")
		if code := p.Wait(patience); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if testenv.Alive(left) {
			t.Error("the daemon lives on")
		}
	})
	t.Run("collects orphans while the command runs", func(t *testing.T) {
		p := testenv.Start(t, withRedis(t, program, "(setsid true & echo orphan $!); exec sleep 600"))
		orphan := pid(t, p, "orphan ")
		testenv.Eventually(t, patience, func() error {
			if syscall.Kill(orphan, 0) == nil {
				return errors.New("the orphan is a zombie")
			}
			return nil
		})
	})
	t.Run("killed, takes its servers with it", func(t *testing.T) {
		p := testenv.Start(t, withRedis(t, program, tellServer+"echo mine $$; exec sleep 600"))
		server, command := pid(t, p, "server "), pid(t, p, "mine ")
		p.Signal(syscall.SIGKILL)
		awaitGone(t, server)
		awaitGone(t, command)
	})
	t.Run("fails when a server ends", func(t *testing.T) {
		p := testenv.Start(t, withRedis(t, program, tellServer+"exec sleep 600"))
		if err := syscall.Kill(pid(t, p, "server "), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.WaitLine("redis-server (signal: killed) ended", patience)
		if code := p.Wait(patience); code != failure {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestMisuse(t *testing.T) {
	if code := run([]string{"-with", "redis"}); code != misuse {
		t.Errorf("exit code %d without a command", code)
	}
}

func TestVenvsAreNamedAfterWhatIsInThem(t *testing.T) {
	old := requirements.Environment{Name: "celery57", Packages: "celery==5.7.0\n"}
	changed, started := old, old
	changed.Packages = "celery==5.7.1\n"
	started.Startup = "import inspect\n"
	a := planVenv("/c", "3.11", old)
	for _, other := range []venv{
		planVenv("/c", "3.12", old), planVenv("/c", "3.11", changed), planVenv("/c", "3.11", started),
	} {
		if a.dir == other.dir {
			t.Errorf("both are in %s", a.dir)
		}
	}
	if a.ready() {
		t.Error("ready before it was built")
	}
}
