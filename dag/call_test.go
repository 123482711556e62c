package dag

import (
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

func TestReadReply(t *testing.T) {
	for _, c := range []struct{ result, stat, data, saved string }{
		{`{"stat": "OK"}`, "OK", `{}`, `{}`},
		{`{"stat": "ERR_X", "why": 1}`, "ERR_X", `{"why": 1}`, `{"why": 1}`},
		{`["OK", {"a": 1}]`, "OK", `{"a": 1}`, `{"a": 1}`},
		{`["OK", 1]`, "OK", `{"data": ["OK", 1]}`, `["OK", 1]`},
		{`{"a": 1, "data": [2]}`, "OK", `{"a": 1, "data": [2]}`, `[2]`},
		{`5`, "OK", `{"data": 5}`, `5`},
		{`null`, "OK", `{"data": null}`, `null`},
		{`{"stat": 5}`, "OK", `{"stat": 5}`, `{"stat": 5}`},
		{``, "OK", `{"data": null}`, `null`},
	} {
		r := ReadReply(protocol.Raw(c.result))
		if r.Stat != c.stat || string(r.Data) != c.data || string(r.Saved()) != c.saved {
			t.Errorf("%s: %s %s, saved %s", c.result, r.Stat, r.Data, r.Saved())
		}
	}
}

// finished is a run of two nodes whose first one has the result.
func finished(t *testing.T, inputs, result string, opts ...NodeOption) *Run {
	t.Helper()
	b := New("x").Node("a", "t").Node("b", "t", append(opts, After("a"))...)
	for _, name := range []string{"who", "n"} {
		b.Input(name, Input{})
	}
	def, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	r := NewRun(def, 1, "run", protocol.Raw(inputs), time.Unix(0, 0))
	r.Nodes[0].State, r.Nodes[0].Result = NodeSucceeded, protocol.Raw(result)
	return r
}

func TestResolvePlaceholders(t *testing.T) {
	for _, c := range []struct{ arg, want, fails string }{
		{"${nodes.a.result}", `{"k": [1, {"z": 2.0}], "s": "hé"}`, ""},
		{"${nodes.a.result.k.1.z}", `2.0`, ""},
		{"v=${nodes.a.result.k.0}, ${inputs.who}", `"v=1, me"`, ""},
		{"$${nodes.a.result} ${inputs.n}", `"${nodes.a.result} null"`, ""},
		{"${nodes.a.result.s}!", `"h\u00e9!"`, ""},
		{"${nodes.a.result.q}", "", `no member "q"`},
		{"${nodes.a.result.k.7}", "", "no element"},
	} {
		r := finished(t, `{"who": "me", "n": null}`, `{"k": [1, {"z": 2.0}], "s": "h\u00e9"}`, Args(c.arg))
		call, err := r.Resolve(1)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v", c.arg, err)
			}
			continue
		}
		if err != nil || string(call.Args[0]) != c.want && c.arg != "${nodes.a.result}" {
			t.Errorf("%s: %s, %v", c.arg, call.Args, err)
		}
	}
}

func TestResolveRequires(t *testing.T) {
	for _, c := range []struct {
		name, inputs, extra string
		names               []string
		want, fails         string
	}{
		{"dependency", `{}`, "", []string{"key"}, `{"key": "dep"}`, ""},
		{"inputs win over dependencies", `{"key": "in"}`, "", []string{"key"}, `{"key": "in"}`, ""},
		{"extra wins", `{"key": "in"}`, `{"key": "extra"}`, []string{"key"}, `{"key": "extra"}`, ""},
		{"all", `{}`, "", []string{"all_taskdata"}, `{"all_taskdata": [{"stat": "OK", "key": "dep"}]}`, ""},
		{"missing", `{}`, "", []string{"key", "other"}, "", "required parameter other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := finished(t, c.inputs, `{"key": "dep"}`, Requires(c.names...))
			if c.extra != "" {
				r.Def.Nodes[1].Extra = Value(c.extra)
			}
			call, err := r.Resolve(1)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Error(err)
				}
				return
			}
			if err != nil || string(call.Object()) != c.want {
				t.Errorf("%s, %v", call.Object(), err)
			}
		})
	}
}

func TestCheckInputs(t *testing.T) {
	def, err := New("x").Node("a", "t").Input("n", Input{Type: "integer", Required: true}).
		Input("s", Input{Default: Value(`"d"`)}).Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		given string
		extra bool
		want  string
	}{
		{`{"n": 1}`, false, `{"n": 1, "s": "d"}`},
		{`{"n": 1, "z": 2}`, true, `{"n": 1, "z": 2, "s": "d"}`},
		{`{"n": 1, "z": 2}`, false, ""}, {`{"n": 1.5}`, false, ""}, {``, false, ""}, {`[1]`, false, ""},
	} {
		got, err := def.CheckInputs(protocol.Raw(c.given), c.extra)
		if (err == nil) != (c.want != "") || string(got) != c.want {
			t.Errorf("%s: %s, %v", c.given, got, err)
		}
	}
}
