package testenv

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// Alive tells whether a process exists and has not exited: a zombie, which
// kill(pid, 0) still finds, is not alive.
func Alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) {
		// Gone since, or a system without /proc.
		return syscall.Kill(pid, 0) == nil
	}
	// The state follows the command name, which is in parentheses.
	_, state, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return !found || state[0] != 'Z' && state[0] != 'X'
}
