// Package child starts processes that cannot outlive the process that started
// them, for tests and the test environment.
//
// Every child gets a process group of its own, so that it is ended together
// with what it started. On Linux the kernel also kills it when its parent dies
// without cleaning up (a panic in a goroutine, a test timeout, kill -9).
package child

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
)

// started guards own: the reaper must not see a child before it is listed there,
// or it would take the exit status that exec.Cmd.Wait is about to ask for.
var (
	started sync.Mutex
	own     = map[int]bool{}
)

// Start starts cmd in a process group of its own. The caller must call Wait,
// not cmd.Wait.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if !cmd.SysProcAttr.Foreground {
		cmd.SysProcAttr.Setpgid = true
	}
	started.Lock()
	defer started.Unlock()
	if err := startBound(cmd); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	own[cmd.Process.Pid] = true
	return nil
}

// Wait waits for cmd, which Start started, and forgets it.
func Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	started.Lock()
	defer started.Unlock()
	delete(own, cmd.Process.Pid)
	return err
}

// Run starts cmd and waits for it.
func Run(cmd *exec.Cmd) error {
	if err := Start(cmd); err != nil {
		return err
	}
	return Wait(cmd)
}

// SignalGroup sends sig to the process group that Start gave to cmd. That no
// process is left to receive it is no error.
func SignalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	if err := syscall.Kill(-cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to process group %d: %w", sig, cmd.Process.Pid, err)
	}
	return nil
}

// ExitCode turns what Wait returned into a shell's exit code: the code of a
// command that exited, 128 plus the signal of one that was killed, -1 for any
// other error.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return -1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
