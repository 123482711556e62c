package child

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	prSetChildSubreaper = 36
	waitAll             = 0 // P_ALL
	peek                = syscall.WEXITED | syscall.WNOHANG | syscall.WNOWAIT
	reapEvery           = 100 * time.Millisecond
)

// AdoptOrphans makes this process the parent of every descendant whose own
// parent ends, and collects those that exit, until ctx ends. It lets EndOrphans
// find daemons and other left-overs by their parent, and no zombie looks like a
// live process to a test.
func AdoptOrphans(ctx context.Context) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("become the parent of orphans: %w", errno)
	}
	go func() {
		tick := time.NewTicker(reapEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for reapOne() {
				}
			}
		}
	}()
	return nil
}

// reapOne collects one exited orphan and tells whether it did. A child that
// Start started is left to Wait.
func reapOne() bool {
	started.Lock()
	defer started.Unlock()
	// siginfo_t is 128 bytes: three 32-bit words, on 64-bit Linux one of padding,
	// then the pid.
	var info [32]int32
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, waitAll, 0, uintptr(unsafe.Pointer(&info)), peek, 0, 0)
	pid := int(info[3+strconv.IntSize/64])
	if errno != 0 || pid == 0 || own[pid] {
		return false
	}
	_, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == nil
}

// EndOrphans kills every child of this process that Start did not start, until
// none is left, and returns one line (pid and command) for each that was alive.
func EndOrphans() []string {
	var ended []string
	for {
		found := false
		for _, pid := range childPids() {
			started.Lock()
			mine := own[pid]
			started.Unlock()
			if mine {
				continue
			}
			found = true
			if name := commandLine(pid); name != "" {
				ended = append(ended, fmt.Sprintf("%d %s", pid, name))
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
			_, _ = syscall.Wait4(pid, nil, 0, nil)
		}
		if !found {
			return ended
		}
	}
}

func childPids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	self := strconv.Itoa(os.Getpid())
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// The command name, in parentheses, may itself hold spaces and parentheses.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == self {
			pids = append(pids, pid)
		}
	}
	return pids
}

// commandLine is empty for a process that has exited.
func commandLine(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
}
