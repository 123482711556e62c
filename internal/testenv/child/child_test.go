package child

import (
	"os/exec"
	"syscall"
	"testing"
)

func TestExitCode(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 9": 9, "kill -TERM $$": 128 + int(syscall.SIGTERM)} {
		if code := ExitCode(Run(exec.Command("sh", "-c", script))); code != want {
			t.Errorf("%s: %d, want %d", script, code, want)
		}
	}
	if code := ExitCode(Run(exec.Command("/does/not/exist"))); code != -1 {
		t.Errorf("a command that does not start: %d", code)
	}
}

func TestEveryChildLeadsAGroup(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	if err := Start(cmd); err != nil {
		t.Fatal(err)
	}
	group, err := syscall.Getpgid(cmd.Process.Pid)
	if err != nil || group != cmd.Process.Pid {
		t.Errorf("group %d of process %d (%v)", group, cmd.Process.Pid, err)
	}
	if err := SignalGroup(cmd, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if code := ExitCode(Wait(cmd)); code != 128+int(syscall.SIGKILL) {
		t.Errorf("exit code %d", code)
	}
	if err := SignalGroup(cmd, syscall.SIGKILL); err != nil {
		t.Errorf("a group that is gone: %v", err)
	}
}
