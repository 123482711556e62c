package redis_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// peer is a Python process with Celery on the same database.
type peer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func startPeer(t *testing.T, venv, url string) *peer {
	t.Helper()
	cmd := testenv.PythonCommand(t, venv, "testdata/peer.py", url)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the peer: %v", err)
		}
	})
	return &peer{t, in, bufio.NewScanner(out)}
}

// send starts a command, answer waits for what it says as JSON.
func (p *peer) send(command ...any) {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(command); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) answer() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the peer gave no answer: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *peer) call(command ...any) string {
	p.t.Helper()
	p.send(command...)
	return p.answer()
}

func TestPythonReadsOurResults(t *testing.T) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url)
	raised := func(id string, e *protocol.Exception) *protocol.Result {
		return result(id, protocol.StateFailure, string(e.Raw()))
	}
	for _, test := range []struct {
		result *protocol.Result
		want   string
	}{
		{result("text", protocol.StateSuccess, `"é"`), `["returned", "\u00e9"]`},
		{result("float", protocol.StateSuccess, `1.0`), `["returned", 1.0]`},
		{result("nan", protocol.StateSuccess, `[NaN, 123456789012345678901234567890]`), `["returned", [NaN, 123456789012345678901234567890]]`},
		{result("null", protocol.StateSuccess, ``), `["returned", null]`},
		{raised("value", &protocol.Exception{Type: "ValueError", Module: "builtins", Args: []any{"boom", 42}}),
			`["raised", "builtins", "ValueError", "ValueError('boom', 42)"]`},
		{raised("plain", protocol.NewException("why")), `["raised", "builtins", "Exception", "Exception('why')"]`},
		{raised("failed chord", protocol.ChordError("why")), `["raised", "celery.exceptions", "ChordError", "ChordError('why')"]`},
		{raised("own", &protocol.Exception{Type: "OutOfStock", Module: "shop.errors", Args: []any{"x"}}),
			`["raised", "celery.exceptions", "OutOfStock", "OutOfStock('x')"]`},
		{result("revoked", protocol.StateRevoked, string(protocol.TaskRevoked("terminated").Raw())),
			`["raised", "celery.exceptions", "TaskRevokedError", "TaskRevokedError('terminated')"]`},
	} {
		put(t, b, test.result)
		if got := py.call("get", test.result.TaskID, 10); got != test.want {
			t.Errorf("%s: got %s, want %s", test.result.TaskID, got, test.want)
		}
	}

	// Already waiting when the result comes.
	py.send("get", "later", 30)
	look := dial(t, url)
	testenv.Eventually(t, 30*time.Second, func() error { return subscribers(look, "later") })
	put(t, b, result("later", protocol.StateStarted, "null"), result("later", protocol.StateSuccess, "7"))
	if got := py.answer(); got != `["returned", 7]` {
		t.Errorf("a waiting get: %s", got)
	}
}

func TestWeReadPythonsResults(t *testing.T) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url)
	w := watching(t, b, "good", "bad")
	py.call("store", "good", map[string]any{"k": []any{1, "é"}})
	until(t, w, `{"k": [1, "\u00e9"]}`)
	py.call("fail", "bad", "boom")
	r, err := w.Next(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	e := protocol.DecodeException(r.Value)
	if r.Status != protocol.StateFailure || r.DateDone.IsZero() || e.Module != "builtins" || e.Repr() != "ValueError('boom', 42)" {
		t.Errorf("got %+v, %s", r, e.Repr())
	}

	put(t, b, result("good", protocol.StateFailure, "null"))
	if r, err := b.Get(bounded(t), "good"); err != nil || r.Status != protocol.StateSuccess {
		t.Errorf("Python's success was overwritten: %+v, %v", r, err)
	}
}

// Header tasks run on both sides, each copy on the other side too; whoever is
// last fires, once.
func TestChordWithPython(t *testing.T) {
	for _, venv := range []string{"celery57", "celery54"} {
		t.Run(venv, func(t *testing.T) {
			url := testenv.Redis(t)
			b, py := open(t, redis.Config{URL: url}), startPeer(t, venv, url)
			ours := func(group string, i int) *backend.ChordJoin {
				id := fmt.Sprintf("%s-%d", group, i)
				return addPart(t, b, backend.Part{Group: group, Index: at(i), Result: result(id, "SUCCESS", fmt.Sprintf(`{"é": %d.5}`, i))})
			}
			theirs := func(group string, i int) string {
				return py.call("part", fmt.Sprintf("%s-%d", group, i), group, i, map[string]any{"é": float64(i) + 0.5})
			}

			py.call("chord", "g", 3)
			wantValues(t, ours("g", 0), "no join")
			theirs("g", 0)
			theirs("g", 1)
			wantValues(t, ours("g", 1), "no join")
			join := ours("g", 2)
			wantValues(t, join, `g-0={"\u00e9": 0.5} g-1={"\u00e9": 1.5} g-2={"\u00e9": 2.5}`)
			if err := join.Done(bounded(t)); err != nil {
				t.Fatal(err)
			}

			if err := b.StartChord(bounded(t), protocol.ChordStart{Group: "h", Size: 2}); err != nil {
				t.Fatal(err)
			}
			wantValues(t, ours("h", 1), "no join")
			if sent := theirs("h", 0); sent != "1" {
				t.Fatalf("Python sent %s bodies", sent)
			}
			wantValues(t, ours("h", 0), "no join")
		})
	}
}

func TestChordOfAGroupSavedByPython(t *testing.T) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url)
	py.call("save", "g", []string{"a", "b"})
	py.call("chord", "g", 1)
	put(t, b, result("a", "SUCCESS", "1"), result("b", "SUCCESS", "2"))
	wantValues(t, addPart(t, b, backend.Part{Group: "g", Index: at(0), Result: result("a", "SUCCESS", "1")}), "a=1 b=2")
}
