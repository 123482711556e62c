package child

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

type request struct {
	cmd  *exec.Cmd
	done chan error
}

var (
	forker sync.Once
	forks  chan request
)

// startBound starts cmd so that it is killed when this process dies. The kernel
// ties the death signal to the thread that forked, hence one goroutine that
// keeps its thread for good forks them all.
func startBound(cmd *exec.Cmd) error {
	forker.Do(func() {
		forks = make(chan request)
		go func() {
			runtime.LockOSThread()
			for r := range forks {
				r.done <- r.cmd.Start()
			}
		}()
	})
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	r := request{cmd, make(chan error)}
	forks <- r
	return <-r.done
}
