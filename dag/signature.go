package dag

import (
	"strconv"

	"github.com/umbel-go/umbel/protocol"
)

// Stamps of every node attempt. They travel in the message's stamped headers, so
// that events, results and revoke_by_stamped_headers can name the run.
const (
	StampRun     = "dag_run"
	StampNode    = "dag_node"
	StampItem    = "dag_item"
	StampAttempt = "dag_attempt"
	StampName    = "dag_name"
)

// Signature is the ordinary Celery task of one attempt. Its options have
// Celery's wire names (apply_async): root_id is the run, parent_id the task of
// the first dependency, time_limit the node's timeout in seconds. The result is
// always asked for.
func (r *Run) Signature(p Publish) protocol.Signature {
	spec, n := &r.Def.Nodes[p.Node], &r.Nodes[p.Node]
	sig := protocol.Signature{Task: spec.Task, Args: make([]any, len(p.Call.Args))}
	for i, arg := range p.Call.Args {
		sig.Args[i] = arg
	}
	for _, f := range p.Call.Kwargs {
		sig.Kwargs = append(sig.Kwargs, protocol.Field{Name: f.Name, Value: f.Value})
	}
	set := func(name string, v any) { sig.Options = append(sig.Options, protocol.Field{Name: name, Value: v}) }
	set("task_id", p.TaskID)
	set("root_id", r.UUID)
	if prev := r.Plan().Prev[p.Node]; len(prev) > 0 {
		set("parent_id", r.Nodes[prev[0]].TaskID)
	}
	if queue := r.Def.queue(spec); queue != "" {
		set("queue", queue)
	}
	if spec.Timeout > 0 {
		set("time_limit", secondsOf(spec.Timeout))
	}
	set("ignore_result", false)
	set("stamped_headers", []any{StampRun, StampNode, StampItem, StampAttempt, StampName})
	set(StampRun, r.UUID)
	set(StampNode, n.Name)
	set(StampItem, strconv.Itoa(n.Item))
	set(StampAttempt, strconv.Itoa(n.Attempt))
	set(StampName, r.Def.Name)
	return sig
}

// secondsOf is a time limit as Python writes it: an int where it is whole.
func secondsOf(d Duration) any {
	if s := int(d) / 1e9; Duration(s*1e9) == d {
		return s
	}
	return float64(d) / 1e9
}
