package redis_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// peer is a Python process with Celery on the same database.
type peer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
	// kill ends it at once, by SIGKILL.
	kill func()
}

func startPeer(t *testing.T, venv string, args ...string) *peer {
	t.Helper()
	cmd := testenv.PythonCommand(t, venv, "testdata/peer.py", args...)
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
	killed := false
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && !killed {
			t.Errorf("the peer: %v", err)
		}
	})
	return &peer{t, in, bufio.NewScanner(out), func() {
		killed = true
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}}
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

// call returns the answer to a command.
func (p *peer) call(command ...any) string {
	p.t.Helper()
	p.send(command...)
	return p.answer()
}

// celeries are Celery with and without a counted set and claim in chords.
var celeries = []string{"celery57", "celery54"}

func TestPythonReadsOurResults(t *testing.T) {
	for _, venv := range celeries {
		t.Run(venv, func(t *testing.T) { pythonReadsOurResults(t, venv) })
	}
}

func pythonReadsOurResults(t *testing.T, venv string) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url}), startPeer(t, venv, url)
	raised := func(id, module, class string, args ...any) *protocol.Result {
		e := &protocol.Exception{Type: class, Module: module, Args: args}
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
		{raised("value", "builtins", "ValueError", "boom", 42), `["raised", "builtins", "ValueError", "ValueError('boom', 42)"]`},
		{raised("key", "builtins", "KeyError", "k"), `["raised", "builtins", "KeyError", "KeyError('k')"]`},
		{raised("none", "builtins", "RuntimeError"), `["raised", "builtins", "RuntimeError", "RuntimeError()"]`},
		{raised("number", "builtins", "Exception", 1.0, nil, true, "é"), `["raised", "builtins", "Exception", "Exception(1.0, None, True, '\u00e9')"]`},
		{raised("no JSON", "builtins", "ValueError", complex(1, 2), "x"), `["raised", "builtins", "ValueError", "ValueError('(1+2i)', 'x')"]`},
		{result("chord", protocol.StateFailure, string(protocol.ChordError("why").Raw())), `["raised", "celery.exceptions", "ChordError", "ChordError('why')"]`},
		{raised("limit", "billiard.exceptions", "TimeLimitExceeded", 3), `["raised", "billiard.exceptions", "TimeLimitExceeded", "TimeLimitExceeded(3)"]`},
		{raised("nested", "shop", "Shop.Empty", "x"), `["raised", "shop", "Shop.Empty", "Empty('x')"]`},
		{raised("not loaded", "shop.errors", "OutOfStock", "x"), `["raised", "celery.exceptions", "OutOfStock", "OutOfStock('x')"]`},
		{raised("not there", "shop", "OutOfStock", "x"), `["raised", "celery.exceptions", "OutOfStock", "OutOfStock('x')"]`},
		{raised("no module", "", "OutOfStock", "x"), `["raised", "celery.backends.base", "OutOfStock", "OutOfStock('x')"]`},
		{raised("refused", "shop", "Picky", 1, 2), `["raised", "builtins", "Exception", "Exception(\"<class 'shop.Picky'>([1, 2])\")"]`},
		{raised("no class", "shop", "sell", 1),
			`["raised", "celery.exceptions", "SecurityError", "SecurityError('Expected an exception class, got shop.sell with payload [1]')"]`},
		{result("revoked", protocol.StateRevoked, string(protocol.TaskRevoked("terminated").Raw())),
			`["raised", "celery.exceptions", "TaskRevokedError", "TaskRevokedError('terminated')"]`},
	} {
		put(t, b, test.result)
		if got := py.call("get", test.result.TaskID, 10); got != test.want {
			t.Errorf("%s: got %s, want %s", test.result.TaskID, got, test.want)
		}
	}

	// Already waiting when the result comes.
	later := "later-" + venv
	py.send("get", later, 30)
	look := dial(t, url)
	testenv.Eventually(t, 30*time.Second, func() error { return subscribers(look, later) })
	put(t, b, result(later, protocol.StateStarted, "null"), result(later, protocol.StateSuccess, "7"))
	if got := py.answer(); got != `["returned", 7]` {
		t.Errorf("a waiting get: %s", got)
	}
}

func TestPythonReadsExtendedResults(t *testing.T) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url)
	r := result("x", "PROGRESS", `{"current": 3}`)
	r.Children = []protocol.Raw{protocol.ResultTuple("child", nil)}
	r.Extra = protocol.Extended{
		Name: "demo.add", Args: protocol.Raw("[1, 2.0]"), Kwargs: protocol.Raw(`{"k": null}`), Worker: "w@h", Retries: 2, Queue: "q",
	}.Object()
	put(t, b, r)
	want := `["PROGRESS", {"current": 3}, "demo.add", [1, 2.0], {"k": null}, "w@h", 2, "q", "None", ["child"]]`
	if got := py.call("info", "x"); got != want {
		t.Errorf("got %s", got)
	}
	r.Status, r.DateDone = protocol.StateSuccess, time.Date(2026, 11, 20, 23, 21, 2, 614866000, time.UTC)
	put(t, b, r)
	want = `["SUCCESS", {"current": 3}, "demo.add", [1, 2.0], {"k": null}, "w@h", 2, "q", "2026-11-20 23:21:02.614866+00:00", ["child"]]`
	if got := py.call("info", "x"); got != want {
		t.Errorf("got %s", got)
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
	put(t, b, result("ours", protocol.StateSuccess, "1"))
	py.call("fail", "ours", "boom")
	if r, err := b.Get(bounded(t), "ours"); err != nil || r.Status != protocol.StateSuccess {
		t.Errorf("our success was overwritten: %+v, %v", r, err)
	}
}

// Every exception that Python stores is shown as Python shows it, and written
// again as it was.
func TestWeReadPythonsExceptions(t *testing.T) {
	for _, venv := range celeries {
		t.Run(venv, func(t *testing.T) {
			url := testenv.Redis(t)
			b, py := open(t, redis.Config{URL: url}), startPeer(t, venv, url)
			for i, expression := range []string{
				"ValueError('boom', 42)", "KeyError('k')", "RuntimeError()", "Exception(\"it's\", \"a\\nb\")", "OSError(2, 'No such file')",
				"Exception([1, {'k': None}], 1.0, True)", "shop.Shop.Empty('é')", "shop.Picky(1)", "TimeoutError('late')",
				"UnicodeDecodeError('utf-8', b'x', 0, 1, 'bad')",
			} {
				id := fmt.Sprintf("e%d", i)
				var python [3]string
				if err := json.Unmarshal([]byte(py.call("throw", id, expression)), &python); err != nil {
					t.Fatal(err)
				}
				r, err := b.Get(bounded(t), id)
				if err != nil {
					t.Fatal(err)
				}
				e := protocol.DecodeException(r.Value)
				if strings.Contains(expression, "b'x'") { // bytes have become text
					python[2] = e.Repr()
				}
				if got := [3]string{e.Module, e.Type, e.Repr()}; got != python {
					t.Errorf("%s: got %q, want %q", expression, got, python)
				}
				if string(e.Raw()) != string(r.Value) {
					t.Errorf("%s: %s became %s", expression, r.Value, e.Raw())
				}
			}
			py.call("throw", "object", "ValueError(object(), 7)")
			r, err := b.Get(bounded(t), "object")
			if err != nil {
				t.Fatal(err)
			}
			if got := protocol.DecodeException(r.Value).Repr(); !strings.HasPrefix(got, "ValueError('<object object at 0x") || !strings.HasSuffix(got, ", 7)") {
				t.Errorf("an argument that JSON cannot hold: %s", got)
			}
		})
	}
}

// Results and chord parts that are compressed, or not JSON, go both ways.
func TestFormatsWithPython(t *testing.T) {
	for _, test := range []struct {
		venv, compression, serializer string
	}{
		{"celery57", "zlib", ""}, {"celery57", "brotli", ""}, {"celery57", "lzma", ""}, {"celery57", "zlib", "msgpack"},
		{"celery57", "", "msgpack"}, {"celery57", "", "yaml"}, {"celery54", "", "msgpack"}, {"celery54", "", "yaml"},
	} {
		t.Run(test.venv+" "+test.compression+" "+test.serializer, func(t *testing.T) {
			url := testenv.Redis(t)
			b := open(t, redis.Config{URL: url, Compression: test.compression, Serializer: test.serializer})
			settings := []string{url}
			if test.compression != "" {
				settings = append(settings, "result_compression="+test.compression)
			}
			if test.serializer != "" {
				settings = append(settings, "result_serializer="+test.serializer)
			}
			// Celery 5.4 tells parts apart by their bytes, and YAML has many ways.
			format(t, b, startPeer(t, test.venv, settings...), test.venv == "celery57" || test.serializer != "yaml")
		})
	}
}

func format(t *testing.T, b *redis.Backend, py *peer, twice bool) {
	w := watching(t, b, "x", "y", "z")
	put(t, b, result("x", protocol.StateSuccess, `"\u00e9"`))
	until(t, w, `"\u00e9"`)
	put(t, b, result("x", protocol.StateFailure, "null"))
	py.call("fail", "x", "boom")
	if got := py.call("get", "x", 10); got != `["returned", "\u00e9"]` {
		t.Errorf("a success was overwritten, or is not read: %s", got)
	}
	py.call("store", "y", map[string]any{"k": []any{1, 2.5, nil}})
	until(t, w, `{"k": [1, 2.5, null]}`)
	put(t, b, result("y", protocol.StateFailure, "null"))
	if r, err := b.Get(bounded(t), "y"); err != nil || r.Status != protocol.StateSuccess {
		t.Errorf("Python's success was overwritten: %+v, %v", r, err)
	}
	py.call("fail", "z", "boom")
	if r, err := w.Next(bounded(t)); err != nil || protocol.DecodeException(r.Value).Repr() != "ValueError('boom', 42)" {
		t.Errorf("got %+v, %v", r, err)
	}
	put(t, b, result("ours", protocol.StateFailure, string(protocol.ChordError("why").Raw())))
	if got := py.call("get", "ours", 10); got != `["raised", "celery.exceptions", "ChordError", "ChordError('why')"]` {
		t.Errorf("got %s", got)
	}

	for _, group := range []string{"g", "h"} {
		m := &mixed{t: t, b: b, py: py, group: group}
		startChord(t, b, group, 3)
		m.theirs(2, "[3]")
		m.ours(0, `"é"`)
		if twice {
			m.theirs(0, `"é"`)
		}
		if group == "g" {
			m.ours(1, "2.5")
		} else {
			m.theirs(1, "2.5")
		}
		m.want(`"\u00e9"`, "2.5", "[3]")
	}
	group := protocol.Tuple{ID: "s", Group: true, Members: []protocol.Tuple{{ID: "x"}}}
	if err := b.PutGroup(bounded(t), "s", group.Raw()); err != nil {
		t.Fatal(err)
	}
	if got := py.call("restore", "s"); got != string(group.Raw()) {
		t.Errorf("the group is restored as %s", got)
	}
}

// Where readers skip what follows the compressed data, one id at two places of a
// header counts twice with equal parts.
func TestCompressedTwinsWithPython(t *testing.T) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url, Compression: "zlib"}), startPeer(t, "celery57", url, "result_compression=zlib")
	startChord(t, b, "h", 3)
	addPart(t, b, part("h", 1, "2"))
	twin := part("h", 2, "2")
	twin.Result.TaskID = "h-1"
	addPart(t, b, twin)
	py.call("part", "h-0", "h", 0, 1)
	if got := py.call("bodies"); got != "[[1, 2, 2]]" {
		t.Errorf("Python sent %s", got)
	}
}
