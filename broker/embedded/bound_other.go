//go:build !linux

package embedded

import "syscall"

// boundToParent keeps the terminal's Ctrl-C from the child: it is stopped last.
// Without a parent-death signal an orphan is adopted by the next start.
func boundToParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
