package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }

func TestProcessLinesAndExitCode(t *testing.T) {
	p := Start(t, shell("echo one; echo two >&2; echo again one; printf end; exit 3"))
	if line := p.WaitLine("two", time.Minute); line != "two" {
		t.Errorf("got %q", line)
	}
	_, next := p.WaitLineFrom(0, "one", time.Minute)
	if line, _ := p.WaitLineFrom(next, "one", time.Minute); line != "again one" {
		t.Errorf("got %q", line)
	}
	if code := p.Wait(time.Minute); code != 3 {
		t.Errorf("exit code %d", code)
	}
	if out := p.Output(); out != "one\ntwo\nagain one\nend" {
		t.Errorf("output %q", out)
	}
}

func TestProcessThatEndsWithoutTheLineFailsAtOnce(t *testing.T) {
	p := Start(t, shell("echo one"))
	r := &recorder{TB: t}
	p.t = r
	defer func() {
		p.t = t
		if recover() == nil || !r.failed.Load() {
			t.Error("did not fail")
		}
	}()
	p.WaitLine("two", time.Hour)
}

func TestProcessSignalTellsTheCode(t *testing.T) {
	p := Start(t, shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"))
	p.WaitLine("ready", time.Minute)
	if code := p.Stop(time.Minute); code != 7 {
		t.Errorf("exit code %d", code)
	}
	p = Start(t, shell("exec sleep 600"))
	p.Kill()
	if code := p.Wait(time.Minute); code != 128+int(syscall.SIGKILL) {
		t.Errorf("exit code %d", code)
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	Eventually(t, 10*time.Second, func() error {
		if Alive(pid) {
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
}

func TestAliveKnowsZombies(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone(t, cmd.Process.Pid) // nobody has waited for it yet
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if Alive(cmd.Process.Pid) || !Alive(os.Getpid()) {
		t.Error("the dead live or the living are dead")
	}
}

func TestCleanupKillsTheWholeGroup(t *testing.T) {
	var parent, grandchild int
	t.Run("inner", func(t *testing.T) {
		p := Start(t, shell("trap '' TERM; sleep 600 & echo child $!; wait"))
		line := p.WaitLine("child ", time.Minute)
		pid, err := strconv.Atoi(strings.TrimPrefix(line, "child "))
		if err != nil {
			t.Fatal(err)
		}
		parent, grandchild = p.Pid(), pid
	})
	gone(t, parent)
	gone(t, grandchild)
}

func TestDaemonHoldingTheOutputDoesNotHangWait(t *testing.T) {
	p := Start(t, shell("setsid sleep 5 & echo started"))
	start := time.Now()
	if code := p.Wait(time.Minute); code != 0 || time.Since(start) > 4*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
}
