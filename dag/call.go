package dag

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// allTaskData is XingQiao's name for the list of all direct dependencies' replies.
const allTaskData = "all_taskdata"

// Call is what one attempt of a node sends.
type Call struct {
	Args   []protocol.Raw
	Kwargs []protocol.RawField
}

// Object is the keyword arguments as JSON.
func (c Call) Object() protocol.Raw {
	o := make(protocol.Object, len(c.Kwargs))
	for i, f := range c.Kwargs {
		o[i] = protocol.Field{Name: f.Name, Value: f.Value}
	}
	raw, _ := protocol.Marshal(o) // raw members cannot fail
	return raw
}

// CheckInputs fills in defaults and refuses missing, wrong and, unless extra is
// true, undeclared inputs. The error is [Problems].
func (d *Definition) CheckInputs(given protocol.Raw, extra bool) (protocol.Raw, error) {
	if len(given) == 0 || string(given) == "null" {
		given = protocol.Raw("{}")
	}
	fields, err := protocol.SplitObject(given)
	if err != nil {
		return nil, Problems{{Field: "inputs", Text: "inputs must be a JSON object"}}
	}
	var ps Problems
	out := make(protocol.Object, 0, len(fields)+len(d.Inputs))
	for _, f := range fields {
		in, declared := d.Inputs[f.Name]
		switch {
		case !declared && !extra:
			ps.add("inputs."+f.Name, "workflow %s has no input %s", d.Name, f.Name)
		case declared && !in.accepts(Value(f.Value)):
			ps.add("inputs."+f.Name, "input %s must be of type %s", f.Name, in.Type)
		}
		out = out.Set(f.Name, f.Value)
	}
	for _, name := range d.InputNames() {
		in := d.Inputs[name]
		if _, ok := out.Get(name); ok {
			continue
		}
		if in.Default != nil {
			out = append(out, protocol.Field{Name: name, Value: in.Default.Raw()})
		} else if in.Required {
			ps.add("inputs."+name, "input %s is required", name)
		}
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return protocol.Marshal(out)
}

// InputNames lists the declared inputs in alphabetical order.
func (d *Definition) InputNames() []string {
	return slices.Sorted(maps.Keys(d.Inputs))
}

// Resolve computes the arguments of a node from the run's inputs and the results
// of the nodes before it.
func (r *Run) Resolve(i int) (Call, error) {
	spec := &r.Def.Nodes[i]
	var call Call
	for k, arg := range spec.Args {
		raw, err := expand(arg, r.find)
		if err != nil {
			return Call{}, fmt.Errorf("argument %d: %w", k, err)
		}
		call.Args = append(call.Args, raw)
	}
	switch {
	case spec.Kwargs != nil:
		raw, err := expand(spec.Kwargs, r.find)
		if err != nil {
			return Call{}, fmt.Errorf("kwargs: %w", err)
		}
		call.Kwargs, err = protocol.SplitObject(raw)
		return call, err
	case len(spec.Requires) > 0:
		return call, r.collect(i, &call)
	}
	return call, nil
}

// find gives the value of inputs.NAME... or nodes.NAME.result...
func (r *Run) find(ref string) (protocol.Raw, error) {
	steps := strings.Split(ref, ".")
	if steps[0] == "inputs" && len(steps) > 1 {
		return descend(r.Inputs, steps[1:])
	}
	if i := r.Plan().Index(steps[min(1, len(steps)-1)]); steps[0] == "nodes" && len(steps) > 2 && i >= 0 {
		result, err := r.resultOf(i)
		if err != nil {
			return nil, err
		}
		return descend(result, steps[3:])
	}
	return nil, errors.New("no such value")
}

func (r *Run) resultOf(i int) (protocol.Raw, error) {
	n := &r.Nodes[i]
	if n.ResultRef != "" {
		return nil, fmt.Errorf("the result of node %s is larger than %d KB and was not copied; pass a reference to the data instead", n.Name, MaxInline>>10)
	}
	if len(n.Result) == 0 {
		return nil, fmt.Errorf("node %s has no result", n.Name)
	}
	return n.Result, nil
}

// collect gathers the required names: replies of direct dependencies, then the
// inputs, then the node's extra, the later winning (XingQiao go_running).
func (r *Run) collect(i int, call *Call) error {
	spec := &r.Def.Nodes[i]
	values := map[string]protocol.Raw{}
	take := func(fields []protocol.RawField) {
		for _, f := range fields {
			values[f.Name] = f.Value
		}
	}
	var all []any
	for _, dep := range r.Plan().Prev[i] {
		result, err := r.resultOf(dep)
		if err != nil {
			return err
		}
		full := ReadReply(result).Full()
		all = append(all, full)
		fields, _ := protocol.SplitObject(full) // Full is an object
		take(fields)
	}
	for _, source := range []protocol.Raw{r.Inputs, spec.Extra.Raw()} {
		if fields, err := protocol.SplitObject(source); err == nil {
			take(fields)
		}
	}
	for _, name := range spec.Requires {
		value, ok := values[name]
		if name == allTaskData {
			raw, err := protocol.Marshal(all)
			if err != nil {
				return err
			}
			value, ok = raw, len(all) > 0
		}
		if !ok {
			return fmt.Errorf("required parameter %s is in no dependency's reply, no input and not in extra", name)
		}
		call.Kwargs = append(call.Kwargs, protocol.RawField{Name: name, Value: value})
	}
	return nil
}
