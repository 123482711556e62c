package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/testenv"
)

// checkTimeout is longer than peer.py lets a check run.
const checkTimeout = 70 * time.Second

// peer is a long-lived Python producer that runs checks by name.
type peer struct {
	process *testenv.Process
	input   *os.File
	read    int
}

// startPeer starts the producer of one Celery version on a stage. It ends with
// the test.
func startPeer(t testing.TB, s stage, venv string, env ...string) *peer {
	t.Helper()
	cmd := testenv.PythonCommand(t, venv, "testdata/conformance/peer.py")
	cmd.Env = append(cmd.Env, "CELERY_BROKER_URL="+s.broker, "CELERY_RESULT_BACKEND="+s.backend, "STAGE="+s.name)
	cmd.Env = append(cmd.Env, env...)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = read
	p := &peer{process: testenv.Start(t, cmd), input: write}
	_ = read.Close()
	t.Cleanup(func() { _ = write.Close() })
	_, p.read = p.process.WaitLineFrom(0, "peer ready", time.Minute)
	return p
}

// check runs a function of the check modules against the side that executes the
// tasks and returns why it does not hold.
func (p *peer) check(name, side string, param any) error {
	request, err := json.Marshal(map[string]any{"check": name, "side": side, "param": param})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.input, "%s\n", request); err != nil {
		return fmt.Errorf("ask the Python peer: %w", err)
	}
	line, next := p.process.WaitLineFrom(p.read, "answer {", checkTimeout)
	p.read = next
	var answer struct {
		OK    bool
		Error string
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "answer ")), &answer); err != nil {
		return fmt.Errorf("answer %q of the Python peer: %w", line, err)
	}
	if !answer.OK {
		return errors.New(answer.Error)
	}
	return nil
}
