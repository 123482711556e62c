package xingqiao

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/protocol"
)

var errNegative = errors.New("page_index and page_size count from 1")

func (h *handlers) listTasks(ctx context.Context, c *call) (string, protocol.Object, error) {
	if err := c.allow("job_id", "job_name", "task_status", "page_index", "page_size"); err != nil {
		return statBadParams, nil, err
	}
	status, err := c.text("task_status")
	if err != nil {
		return statBadParams, nil, err
	}
	run, stat, err := h.find(ctx, c)
	if stat == statJobNotExist {
		return stat, data(protocol.Object{}), nil
	}
	if stat != statOK {
		return stat, nil, err
	}
	list := []any{}
	for i := range run.Nodes {
		if status == "" || status == taskStatus(run.Nodes[i].State) {
			list = append(list, h.viewTask(run, i))
		}
	}
	total := len(list)
	if list, err = c.page(list); err != nil {
		return statBadParams, nil, err
	}
	return statOK, data(protocol.Object{{Name: "total", Value: total}, {Name: "list", Value: list}}), nil
}

// page cuts a list by page_index and page_size; without a size it stays whole.
func (c *call) page(list []any) ([]any, error) {
	size, sized, err := c.number("page_size")
	if err != nil || !sized {
		return list, err
	}
	index, given, err := c.number("page_index")
	if err != nil {
		return nil, err
	}
	if !given {
		index = 1
	}
	if size < 1 || index < 1 {
		return nil, errNegative
	}
	n := int64(len(list))
	from := n
	if index-1 <= n/size {
		from = min(n, (index-1)*size)
	}
	return list[from:min(n, from+min(size, n))], nil
}

// viewTask is a row of workflow_task: task_params, task_extra and ret_data as
// JSON text or null.
func (h *handlers) viewTask(r *dag.Run, i int) protocol.Object {
	n, spec := &r.Nodes[i], &r.Def.Nodes[i]
	var params, retData any
	if spec.Kwargs != nil {
		params = string(spec.Kwargs)
	}
	if len(n.RetData) > 0 && string(n.RetData) != "{}" {
		retData = string(n.RetData)
	}
	extra := "{}"
	if spec.Extra != nil {
		extra = string(spec.Extra)
	}
	return protocol.Object{
		{Name: "task_id", Value: n.ID}, {Name: "job_id", Value: r.ID}, {Name: "task_label", Value: n.Name},
		{Name: "task_reqid", Value: n.TaskID}, {Name: "task_cmd", Value: spec.Task}, {Name: "task_params", Value: params},
		{Name: "task_requires", Value: strings.Join(spec.Requires, ",")},
		{Name: "task_provides", Value: strings.Join(spec.Provides, ",")},
		{Name: "task_dependencies", Value: strings.Join(spec.DependsOn, ",")},
		{Name: "task_status", Value: taskStatus(n.State)}, {Name: "task_cost", Value: math.Round(n.Runtime*1e6) / 1e6},
		{Name: "task_extra", Value: extra}, {Name: "task_is_save", Value: spec.IsSave},
		{Name: "ret_stat", Value: retStat(n)}, {Name: "ret_data", Value: retData},
		{Name: "task_retrymax", Value: spec.Retries}, {Name: "task_retrycount", Value: max(0, n.Attempt-1)},
		{Name: "task_timeout", Value: int64(spec.Timeout / 1e9)},
		{Name: "c_time", Value: h.time(r.Created)}, {Name: "s_time", Value: h.time(n.StartedAt)},
		{Name: "u_time", Value: h.time(updated(r, n))},
	}
}

// taskStatus is the word that XingQiao's callers know.
func taskStatus(s dag.NodeState) string {
	switch s {
	case dag.NodeWaiting:
		return "waiting"
	case dag.NodeRunning:
		return "started"
	case dag.NodeSucceeded, dag.NodeSkipped:
		return "finished"
	case dag.NodeFailed, dag.NodeUpstreamFailed, dag.NodeCancelled:
		return "failed"
	}
	return "pending"
}

func retStat(n *dag.NodeRun) string {
	if n.State == dag.NodeSkipped {
		return dag.StatSkipped
	}
	return n.RetStat
}

// updated is the last moment that anything happened to the node.
func updated(r *dag.Run, n *dag.NodeRun) time.Time {
	last := r.Created
	for _, t := range []time.Time{n.ReadyAt, n.QueuedAt, n.StartedAt, n.EndedAt} {
		if t.After(last) {
			last = t
		}
	}
	return last
}
