package dag

import (
	"errors"
	"strings"
	"testing"
)

const wellFormed = `
name: report
inputs:
  who: {type: string, default: world}
nodes:
  - name: a
    task: demo.add
    args: [1, 1.0, 12345678901234567890123, "${inputs.who}"]
    retry_delay: 1m
    timeout: 90
  - name: b
    task: demo.mul
    kwargs: {x: "${nodes.a.result}", "y": 2}
    depends_on: [a]
`

func TestParseYAML(t *testing.T) {
	def, err := ParseYAML([]byte(wellFormed))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(def.Nodes[0].Args[1]) + " " + string(def.Nodes[0].Args[2]); got != "1.0 12345678901234567890123" {
		t.Errorf("numbers became %s", got)
	}
	if got := string(def.Nodes[1].Kwargs); got != `{"x": "${nodes.a.result}", "y": 2}` {
		t.Errorf("kwargs became %s", got)
	}
	if def.Nodes[0].RetryDelay.String() != "1m0s" || def.Nodes[0].Timeout.String() != "1m30s" {
		t.Errorf("durations became %s and %s", def.Nodes[0].RetryDelay, def.Nodes[0].Timeout)
	}
}

func TestParseYAMLProblems(t *testing.T) {
	node := "name: x\nnodes:\n  - name: a\n    task: t\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", node + "    retires: 3\n", `line 5, column 5: unknown field "retires"`},
		{"syntax", "name: [x\n", "line 1"},
		{"duplicate key", "name: x\nname: y\n", "line 2"},
		{"no name", "nodes: [{name: a, task: t}]", `workflow name ""`},
		{"no nodes", "name: x", "nodes: a workflow needs at least one node"},
		{"no task", "name: x\nnodes: [{name: a}]", "node a: no task name"},
		{"bad node name", "name: x\nnodes: [{name: a b, task: t}]", `node name "a b"`},
		{"name twice", node + "  - {name: a, task: t}\n", "line 5, column 12: nodes[1].name: node a: the name is taken by node 1"},
		{"missing dependency", node + "    depends_on: [z]\n", "line 5, column 18: nodes[0].depends_on[0]: node a depends on z, which does not exist"},
		{"cycle", node + "    depends_on: [c]\n  - {name: b, task: t, depends_on: [a]}\n  - {name: c, task: t, depends_on: [b]}\n",
			"dependencies form a cycle: a -> b -> c -> a"},
		{"itself", node + "    depends_on: [a]\n", "cycle: a -> a"},
		{"type", node + "    type: http\n", `type "http" is unknown`},
		{"kwargs", node + "    kwargs: [1]\n", "kwargs must be an object"},
		{"negative", node + "    retries: -1\n", "line 5, column 14: nodes[0].retries: node a: retries must be"},
		{"duration", node + "    timeout: soon\n", `line 5, column 14: "soon" is no duration`},
		{"placeholder input", node + "    args: [\"${inputs.z}\"]\n", "node a: ${inputs.z}: no such input"},
		{"placeholder later", node + "    args: [\"${nodes.b.result}\"]\n  - {name: b, task: t}\n", "does not run before this one"},
		{"placeholder unknown", node + "    args: [\"${nope}\"]\n", "write ${inputs.NAME}"},
		{"taskdata", node + "    requires: [all_taskdata]\n", "depends on no node"},
		{"nan", node + "    args: [.nan]\n", "line 5"},
		{"input type", "name: x\ninputs: {v: {type: money}}\nnodes: [{name: a, task: t}]", `type "money" is unknown`},
		{"default type", "name: x\ninputs: {v: {type: number, default: two}}\nnodes: [{name: a, task: t}]", "the default is no number"},
		{"two documents", "name: x\n---\nname: y\n", "exactly one YAML document"},
		{"deep", "name: " + strings.Repeat("[", 2000), "nested too deep"},
		{"too long", "name: " + strings.Repeat("x", MaxSource), "more than"},
		{"unknown alias", "name: *x\n", "alias"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseYAML([]byte(c.text))
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v is no list of problems", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
		})
	}
}

func TestAliasesAreBounded(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		ref := "*" + string(c-1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat(ref+",", 9) + ref + "]\n"
	}
	if _, err := ParseYAML([]byte(bomb)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

func TestAliasIsReplaced(t *testing.T) {
	def, err := ParseYAML([]byte("name: x\nnodes:\n  - {name: a, task: t, args: &args [1, {k: v}]}\n  - {name: b, task: t, args: *args}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(def.Nodes[1].Args[1]); got != `{"k": "v"}` {
		t.Errorf("got %s", got)
	}
}

func TestJSONAndYAMLAgree(t *testing.T) {
	fromYAML, err := ParseYAML([]byte(wellFormed))
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := ParseJSON([]byte(`{"name": "report", "inputs": {"who": {"type": "string", "default": "world"}}, "nodes": [
		{"name": "a", "task": "demo.add", "args": [1, 1.0, 12345678901234567890123, "${inputs.who}"], "retry_delay": "1m", "timeout": 90},
		{"name": "b", "task": "demo.mul", "kwargs": {"x": "${nodes.a.result}", "y": 2}, "depends_on": ["a"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := fromYAML.Checksum()
	b, _ := fromJSON.Checksum()
	if a != b {
		t.Error("checksums differ")
	}
	if _, err := ParseJSON([]byte("{\"name\": \"x\",\n \"nope\": 1}")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("unknown field: %v", err)
	}
}

func FuzzParseYAML(f *testing.F) {
	f.Add(wellFormed)
	f.Add("name: &n x\nnodes:\n- {name: *n, task: t, depends_on: [x]}\n")
	f.Add("nodes:\n  - args: !000\n000")
	f.Add("? - a\n: !!str b\n<<: *x")
	f.Fuzz(func(t *testing.T, text string) {
		def, err := ParseYAML([]byte(text))
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v is no list of problems", err)
			}
			return
		}
		if err := def.Validate(); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if len(def.Plan().Order) != len(def.Nodes) {
			t.Fatal("accepted with a cycle")
		}
		if _, err := def.Checksum(); err != nil {
			t.Fatal(err)
		}
	})
}
