package testenv

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv/child"
)

const (
	// drainTimeout bounds the wait for output after a process ended: a daemon it
	// left may hold the pipe open for ever.
	drainTimeout = time.Second
	shownLines   = 200
)

// Process is a running program whose output is kept line by line. It ends, with
// everything in its process group, when the test ends. Methods that take a
// timeout fail the test; call them on the test's goroutine.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	name string
	done chan struct{} // closed when the process ended and its output was read

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and replaced at every new line
	code  int
}

// Start starts cmd in a process group of its own, with standard output and
// standard error as one stream. A failed test shows the end of it.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatalf("make a pipe for %s: %v", cmd.Path, err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	p := &Process{
		t: t, cmd: cmd, name: strings.Join(cmd.Args, " "),
		done: make(chan struct{}), grown: make(chan struct{}),
	}
	err = child.Start(cmd)
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		p.collect(read)
	}()
	go p.wait(read, drained)
	t.Cleanup(func() {
		t.Helper()
		p.Kill()
		if t.Failed() {
			t.Logf("%s\nexit code %d, output:\n%s", p.name, p.code, p.tail())
		}
	})
	return p
}

func (p *Process) collect(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			p.mu.Lock()
			p.lines = append(p.lines, strings.TrimRight(line, "\r\n"))
			close(p.grown)
			p.grown = make(chan struct{})
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (p *Process) wait(output io.Closer, drained <-chan struct{}) {
	err := child.Wait(p.cmd)
	p.mu.Lock()
	p.code = child.ExitCode(err)
	p.mu.Unlock()
	select {
	case <-drained:
	case <-time.After(drainTimeout):
	}
	_ = output.Close()
	<-drained
	close(p.done)
}

// WaitLine waits for a line that holds text, among those already there and those
// to come, and returns the first such line.
func (p *Process) WaitLine(text string, timeout time.Duration) string {
	p.t.Helper()
	line, _ := p.WaitLineFrom(0, text, timeout)
	return line
}

// WaitLineFrom is WaitLine that ignores the first from lines. It returns the
// line and the number of lines up to and with it, which is the from for the one
// after it.
func (p *Process) WaitLineFrom(from int, text string, timeout time.Duration) (line string, next int) {
	p.t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	ended := p.done
	for last := false; ; {
		p.mu.Lock()
		grown := p.grown
		for i, l := range p.lines[min(from, len(p.lines)):] {
			if strings.Contains(l, text) {
				p.mu.Unlock()
				return l, from + i + 1
			}
		}
		from = max(from, len(p.lines))
		p.mu.Unlock()
		if last {
			p.t.Fatalf("%s ended (exit code %d) without a line with %q", p.name, p.exitCode(), text)
		}
		select {
		case <-grown:
		case <-ended:
			last = true // it may have written the line just before it ended
		case <-deadline.C:
			p.t.Fatalf("%s: no line with %q within %v", p.name, text, timeout)
		}
	}
}

// Lines returns what the process has written so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// Output returns what the process has written so far as one text.
func (p *Process) Output() string { return strings.Join(p.Lines(), "\n") }

// Pid is the process id, which is also the id of its process group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its output was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends sig to the process alone, as kill does. A process that has ended
// is no error.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signal %v to %s: %v", sig, p.name, err)
	}
}

// SignalGroup sends sig to the process and everything in its process group, as
// Ctrl-C on a terminal does.
func (p *Process) SignalGroup(sig syscall.Signal) {
	p.t.Helper()
	if err := child.SignalGroup(p.cmd, sig); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends the process group (SIGKILL) and waits until the process is gone.
func (p *Process) Kill() {
	p.t.Helper()
	if err := child.SignalGroup(p.cmd, syscall.SIGKILL); err != nil {
		p.t.Error(err)
	}
	<-p.done
}

// Wait waits until the process has ended and returns its exit code: 128 plus
// the signal where a signal ended it.
func (p *Process) Wait(timeout time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(timeout):
		p.t.Fatalf("%s did not end within %v", p.name, timeout)
	}
	return p.exitCode()
}

// Stop sends SIGTERM, then is Wait.
func (p *Process) Stop(timeout time.Duration) int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait(timeout)
}

func (p *Process) exitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code
}

func (p *Process) tail() string {
	lines := p.Lines()
	return strings.Join(lines[max(0, len(lines)-shownLines):], "\n")
}
