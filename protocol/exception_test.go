package protocol

import "testing"

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
	e := &Exception{Type: "E", Module: "m", Args: []any{complex(1, 2), "x"}}
	if got := string(e.Raw()); got != `{"exc_type": "E", "exc_message": ["(1+2i)", "x"], "exc_module": "m"}` {
		t.Errorf("got %s", got)
	}
}

func TestDecodeExceptionOfOtherPeers(t *testing.T) {
	for _, test := range []struct{ in, repr string }{
		{`{"exc_type": "KeyError", "exc_message": "k", "exc_module": null}`, "KeyError('k')"},
		{`{"exc_type": "KeyError"}`, "KeyError()"},
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
