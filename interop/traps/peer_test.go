package traps

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/internal/testenv/child"
	"github.com/umbel-go/umbel/protocol"
)

// answerTimeout is how long a snippet may take on a busy machine.
const answerTimeout = 30 * time.Second

// peer is the Python process of testdata/peer.py.
type peer struct {
	stdin   io.Writer
	answers chan []byte
	errors  bytes.Buffer // read only after answers is closed
}

var pythonPeer *peer

// python runs a snippet on the stage and stores its result in what into points
// to (nil: nothing). vars are what the snippet finds by name.
func (s stage) python(t *testing.T, into any, code string, vars map[string]any) {
	t.Helper()
	if pythonPeer == nil {
		pythonPeer = startPeer(t)
	}
	raw := pythonPeer.ask(t, protocol.Object{
		{Name: "code", Value: code}, {Name: "broker", Value: s.broker}, {Name: "backend", Value: s.backend},
		{Name: "conf", Value: s.conf}, {Name: "vars", Value: vars},
	})
	fields, err := protocol.SplitObject(raw)
	if err != nil || len(fields) != 1 {
		t.Fatalf("Python answered %s", raw)
	}
	if fields[0].Name == "error" {
		var failure string
		must(t, protocol.Unmarshal(fields[0].Value, &failure))
		t.Fatalf("Python: %s\nin %s", failure, code)
	}
	if into == nil {
		return
	}
	if err := protocol.Unmarshal(fields[0].Value, into); err != nil {
		t.Fatalf("Python's result %s: %v", fields[0].Value, err)
	}
}

func startPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{answers: make(chan []byte)}
	cmd := testenv.PythonCommand(t, "celery57", "testdata/peer.py")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	p.stdin, cmd.Stderr = stdin, &p.errors
	must(t, child.Start(cmd))
	go p.read(cmd, stdout)
	cleanups = append(cleanups, func() {
		_ = child.SignalGroup(cmd, syscall.SIGKILL) // gone already is fine
		for range p.answers {
		}
	})
	return p
}

func (p *peer) read(cmd *exec.Cmd, stdout io.Reader) {
	defer close(p.answers)
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			_ = child.Wait(cmd) // killed, or errors says why
			return
		}
		p.answers <- line
	}
}

func (p *peer) ask(t *testing.T, request protocol.Object) []byte {
	t.Helper()
	line, err := protocol.Marshal(request)
	must(t, err)
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		t.Fatalf("ask Python: %v", err)
	}
	select {
	case answer, ok := <-p.answers:
		if !ok {
			t.Fatalf("Python ended:\n%s", p.errors.String())
		}
		return bytes.TrimSpace(answer)
	case <-time.After(answerTimeout):
		t.Fatalf("Python did not answer within %v", answerTimeout)
	}
	return nil
}
