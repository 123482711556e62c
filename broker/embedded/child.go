package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pidFile = "server.pid"
	logFile = "server.log"
	// readyEvery is the pause between looks at a server that starts; loading
	// its data may take long, and ctx bounds that.
	readyEvery = 20 * time.Millisecond
)

// child is a server process of ours.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of its end; set before done is closed
}

// startChild runs the program with its append-only file in dir, synced every
// second: a killed server loses nothing, a machine without power a second.
func startChild(ctx context.Context, p program, dir, addr string) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if err := bindable(addr); err != nil {
		return nil, errTaken(addr, err)
	}
	log, err := os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(p.path, "--port", port, "--bind", host, "--dir", dir, "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--loglevel", "warning")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	c := &child{cmd: cmd, done: make(chan struct{})}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("embedded broker: start %s: %w", p.path, err)
	}
	s := &Server{kind: p.kind, addr: addr, done: c.done, stop: func(ctx context.Context) error { return c.stop(ctx, dir) }}
	if err := c.ready(ctx, dir, addr); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.Stop(stopCtx) // the failed start is the error to tell
		return nil, err
	}
	pid := fmt.Sprintf("%d %s\n", cmd.Process.Pid, addr)
	if err := os.WriteFile(filepath.Join(dir, pidFile), []byte(pid), 0o600); err != nil {
		slog.WarnContext(ctx, "embedded broker: pid file not written", "error", err)
	}
	s.logStarted(ctx)
	return s, nil
}

// bindable finds out who else wants the address before the server fails on it.
func bindable(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// start forks from a thread that lives as long as the child: the kernel sends
// the parent-death signal when the forking thread ends, not the process.
func (c *child) start() error {
	c.cmd.SysProcAttr = boundToParent()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return <-started
}

func (c *child) ready(ctx context.Context, dir, addr string) error {
	t := time.NewTicker(readyEvery)
	defer t.Stop()
	for {
		if where, err := dataDir(ctx, addr); err == nil && where == dir {
			return nil
		}
		select {
		case <-t.C:
		case <-c.done:
			return fmt.Errorf("embedded broker: %s ended at once (%w): %s", c.cmd.Path, c.err, lastLines(dir))
		case <-ctx.Done():
			return fmt.Errorf("embedded broker: %s does not answer at %s: %w", c.cmd.Path, addr, ctx.Err())
		}
	}
}

// lastLines are what the server said before it ended.
func lastLines(dir string) string {
	data, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1] + " (more in " + filepath.Join(dir, logFile) + ")"
}

func (c *child) stop(ctx context.Context, dir string) error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-c.done:
	case <-ctx.Done():
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	if err := os.Remove(filepath.Join(dir, pidFile)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return nil
}

// pidOf reads the pid file: the process and its address.
func pidOf(dir string) (pid int, addr string) {
	data, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return 0, ""
	}
	first, addr, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	pid, _ = strconv.Atoi(first)
	return pid, addr
}
