package protocol

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestException(t *testing.T) {
	for _, test := range []struct {
		e               *Exception
		raw, repr, text string
	}{
		{NewException("why"), `{"exc_type": "Exception", "exc_message": ["why"], "exc_module": "builtins"}`, "Exception('why')", "why"},
		{TaskRevoked("expired"), `{"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"}`,
			"TaskRevokedError('expired')", "expired"},
		{&Exception{Type: "ValueError", Module: "builtins", Args: []any{"it's", 42}},
			`{"exc_type": "ValueError", "exc_message": ["it's", 42], "exc_module": "builtins"}`, `ValueError("it's", 42)`, `("it's", 42)`},
		{&Exception{Type: "Shop.Empty", Module: "shop"}, `{"exc_type": "Shop.Empty", "exc_message": [], "exc_module": "shop"}`, "Empty()", "Shop.Empty"},
		{&Exception{Type: "E", Module: "m", Args: []any{[]any{1, nil, "x\n"}}}, `{"exc_type": "E", "exc_message": [[1, null, "x\n"]], "exc_module": "m"}`,
			`E([1, None, 'x\n'])`, `[1, None, 'x\n']`},
		{&Exception{Type: "E"}, `{"exc_type": "E", "exc_message": [], "exc_module": null}`, "E()", "E"},
	} {
		if got := string(test.e.Raw()); got != test.raw {
			t.Errorf("raw %s, want %s", got, test.raw)
		}
		if got := test.e.Repr(); got != test.repr {
			t.Errorf("repr %s, want %s", got, test.repr)
		}
		if got := test.e.Error(); got != test.text {
			t.Errorf("text %s, want %s", got, test.text)
		}
		if got := DecodeException(test.e.Raw()); got.Repr() != test.repr || got.Type != test.e.Type || got.Module != test.e.Module {
			t.Errorf("%s is read as %+v", test.raw, got)
		}
	}
}

func TestExceptionThatJSONCannotHold(t *testing.T) {
	e := &Exception{Type: "E", Module: "m", Args: []any{complex(1, 2), 7, "x"}}
	if got := string(e.Raw()); got != `{"exc_type": "E", "exc_message": ["(1+2i)", 7, "x"], "exc_module": "m"}` {
		t.Errorf("got %s", got)
	}
}

func TestDecodeExceptionOfOtherPeers(t *testing.T) {
	for _, test := range []struct{ in, repr string }{
		{`{"exc_type": "KeyError", "exc_message": "k", "exc_module": null}`, "KeyError('k')"},
		{`{"exc_type": "KeyError"}`, "KeyError()"},
		{`{"exc_type": "E", "exc_message": [{"k": [1.0, null]}], "exc_module": "a.b", "cause": 1}`, "E({'k': [1.0, None]})"},
		{`[["exc_type", "KeyError"], ["exc_message", ["k"]], ["exc_module", "builtins"]]`, "KeyError('k')"},
		{`[["exc_type", "KeyError"], [1]]`, `Exception('[["exc_type", "KeyError"], [1]]')`},
		{`{"exc_type": 3}`, `Exception('{"exc_type": 3}')`},
		{`"plain text"`, "Exception('plain text')"},
		{`null`, "Exception('')"},
		{`[1]`, "Exception('[1]')"},
		{`{"no": "type"}`, `Exception('{"no": "type"}')`},
		{``, "Exception('')"},
	} {
		if got := DecodeException(Raw(test.in)).Repr(); got != test.repr {
			t.Errorf("%s: got %s, want %s", test.in, got, test.repr)
		}
	}
}

func FuzzDecodeException(f *testing.F) {
	for _, seed := range []string{
		`{"exc_type": "Shop.Empty", "exc_message": ["boom", 42], "exc_module": "shop"}`, `"text"`, `null`,
		`[["exc_type", "E"], ["exc_message", {"__type__": "decimal", "__value__": "1.0"}]]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := DecodeException(data)
		if !utf8.Valid(data) { // refused before it comes here; it must not panic
			return
		}
		again := DecodeException(e.Raw())
		if again.Type != e.Type || again.Module != e.Module || again.Repr() != e.Repr() {
			t.Fatalf("%s is read as %s, and then as %s", data, e.Raw(), again.Raw())
		}
	})
}

// TestDecodeExceptionOfManyPairs reads a list of as many names as a hostile writer
// likes.
func TestDecodeExceptionOfManyPairs(t *testing.T) {
	var b strings.Builder
	b.WriteByte('[')
	for i := range 300_000 {
		fmt.Fprintf(&b, `["%d", 1], `, i)
	}
	b.WriteString(`["exc_type", "KeyError"]]`)
	began := time.Now()
	if got := DecodeException(Raw(b.String())).Repr(); got != "KeyError()" {
		t.Errorf("read as %.80s", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
