package dag

import (
	"fmt"
	"regexp"
	"strings"
)

// MaxNodes is the most nodes that a definition may have.
const MaxNodes = 10_000

// maxRetries keeps the number of attempts of a node sane.
const maxRetries = 1000

var (
	workflowName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	nodeName     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

var inputTypes = map[string]bool{
	"": true, "string": true, "number": true, "integer": true, "boolean": true, "object": true, "array": true,
}

// Validate reports everything that is wrong with the definition, as [Problems],
// each naming its field and node; nil when it can be run.
func (d *Definition) Validate() error {
	var ps Problems
	if !workflowName.MatchString(d.Name) {
		ps.add("name", "workflow name %q: 1 to 64 letters, digits, '_', '-' or '.' are expected", d.Name)
	}
	if d.Timeout < 0 {
		ps.add("timeout", "timeout %s is negative", d.Timeout)
	}
	if d.Reply != "" && d.Reply != ReplyXingQiao {
		ps.add("reply", "reply %q is unknown; leave it out or write %q", d.Reply, ReplyXingQiao)
	}
	d.validateInputs(&ps)
	switch {
	case len(d.Nodes) == 0:
		ps.add("nodes", "a workflow needs at least one node")
	case len(d.Nodes) > MaxNodes:
		ps.add("nodes", "%d nodes are more than %d", len(d.Nodes), MaxNodes)
		return ps
	}
	plan := d.Plan()
	for i := range d.Nodes {
		d.validateNode(&ps, plan, i)
	}
	if cycle := plan.cycle(); cycle != nil {
		ps.add(fmt.Sprintf("nodes[%d].depends_on", cycle[0]), "dependencies form a cycle: %s", d.cycleText(cycle))
	} else {
		d.validatePlaceholders(&ps, plan)
	}
	if len(ps) > 0 {
		return ps
	}
	return nil
}

func (d *Definition) cycleText(cycle []int) string {
	names := make([]string, 0, len(cycle)+1)
	for _, i := range append(cycle, cycle[0]) {
		names = append(names, d.Nodes[i].Name)
	}
	return strings.Join(names, " -> ")
}

func (d *Definition) validateInputs(ps *Problems) {
	for _, name := range d.InputNames() {
		in, field := d.Inputs[name], "inputs."+name
		if !nodeName.MatchString(name) {
			ps.add("inputs", "input name %q: 1 to 64 letters, digits, '_' or '-' are expected", name)
			continue
		}
		if !inputTypes[in.Type] {
			ps.add(field+".type", "input %s: type %q is unknown; string, number, integer, boolean, object and array are", name, in.Type)
			continue
		}
		if in.Default != nil && !in.accepts(in.Default) {
			ps.add(field+".default", "input %s: the default is no %s", name, in.Type)
		}
	}
}

func (d *Definition) validateNode(ps *Problems, plan *Plan, i int) {
	n, field := &d.Nodes[i], fmt.Sprintf("nodes[%d]", i)
	if !nodeName.MatchString(n.Name) {
		ps.add(field+".name", "node name %q: 1 to 64 letters, digits, '_' or '-' are expected", n.Name)
	} else if first := plan.Index(n.Name); first != i {
		ps.add(field+".name", "node %s: the name is taken by node %d", n.Name, first+1)
	}
	if n.Type != "" && n.Type != TypeTask {
		ps.add(field+".type", "node %s: type %q is unknown; leave it out or write %q", n.Name, n.Type, TypeTask)
	}
	if strings.TrimSpace(n.Task) == "" {
		ps.add(field+".task", "node %s: no task name", n.Name)
	}
	if n.Kwargs != nil && !isObject(n.Kwargs) {
		ps.add(field+".kwargs", "node %s: kwargs must be an object", n.Name)
	}
	if n.Extra != nil && !isObject(n.Extra) {
		ps.add(field+".extra", "node %s: extra must be an object", n.Name)
	}
	if n.Retries < 0 || n.Retries > maxRetries {
		ps.add(field+".retries", "node %s: retries must be 0 to %d", n.Name, maxRetries)
	}
	if n.RetryDelay < 0 {
		ps.add(field+".retry_delay", "node %s: retry_delay %s is negative", n.Name, n.RetryDelay)
	}
	if n.Timeout < 0 {
		ps.add(field+".timeout", "node %s: timeout %s is negative", n.Name, n.Timeout)
	}
	d.validateEdges(ps, plan, i)
}

func (d *Definition) validateEdges(ps *Problems, plan *Plan, i int) {
	n := &d.Nodes[i]
	seen := map[string]bool{}
	for k, dep := range n.DependsOn {
		field := fmt.Sprintf("nodes[%d].depends_on[%d]", i, k)
		switch {
		case plan.Index(dep) < 0:
			ps.add(field, "node %s depends on %s, which does not exist", n.Name, dep)
		case seen[dep]:
			ps.add(field, "node %s depends on %s twice", n.Name, dep)
		}
		seen[dep] = true
	}
	for k, name := range n.Requires {
		if name == allTaskData && len(n.DependsOn) == 0 {
			ps.add(fmt.Sprintf("nodes[%d].requires[%d]", i, k), "node %s requires %s but depends on no node", n.Name, allTaskData)
		}
	}
}

// validatePlaceholders checks that every ${...} can have a value when the node
// starts.
func (d *Definition) validatePlaceholders(ps *Problems, plan *Plan) {
	for i := range d.Nodes {
		n := &d.Nodes[i]
		var before map[int]bool
		check := func(field string, v Value) {
			for _, ref := range placeholders(v) {
				if before == nil {
					before = plan.ancestors(i)
				}
				if text := d.refProblem(plan, before, ref); text != "" {
					ps.add(field, "node %s: ${%s}: %s", n.Name, ref, text)
				}
			}
		}
		for k, arg := range n.Args {
			check(fmt.Sprintf("nodes[%d].args[%d]", i, k), arg)
		}
		check(fmt.Sprintf("nodes[%d].kwargs", i), n.Kwargs)
	}
}

func (d *Definition) refProblem(plan *Plan, before map[int]bool, ref string) string {
	steps := strings.Split(ref, ".")
	switch {
	case len(steps) >= 2 && steps[0] == "inputs":
		if _, ok := d.Inputs[steps[1]]; !ok {
			return "no such input; declare it under inputs"
		}
	case len(steps) >= 3 && steps[0] == "nodes" && steps[2] == "result":
		j := plan.Index(steps[1])
		if j < 0 {
			return "no such node"
		}
		if !before[j] {
			return "the node does not run before this one; add it to depends_on"
		}
	default:
		return "write ${inputs.NAME} or ${nodes.NAME.result}, or $${ for a literal"
	}
	return ""
}
