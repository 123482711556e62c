package embedded

import "syscall"

// boundToParent makes the child end, orderly, when this process dies, and keeps
// the terminal's Ctrl-C from it: it is stopped last.
func boundToParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
