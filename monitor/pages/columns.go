package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/state"
)

// DefaultColumns are the columns of the task table.
const DefaultColumns = "name,uuid,state,args,kwargs,result,received,started,runtime,worker"

// taskColumns are all columns in Flower's order.
var taskColumns = []web.Column{
	{Name: "name", Title: "Name"},
	{Name: "uuid", Title: "UUID", Class: "wide"},
	{Name: "state", Title: "State"},
	{Name: "args", Title: "args"},
	{Name: "kwargs", Title: "kwargs"},
	{Name: "result", Title: "Result"},
	{Name: "received", Title: "Received"},
	{Name: "started", Title: "Started"},
	{Name: "runtime", Title: "Runtime", Class: "num"},
	{Name: "worker", Title: "Worker"},
	{Name: "exchange", Title: "Exchange"},
	{Name: "routing_key", Title: "Routing key"},
	{Name: "retries", Title: "Retries", Class: "num"},
	{Name: "revoked", Title: "Revoked"},
	{Name: "exception", Title: "Exception"},
	{Name: "expires", Title: "Expires"},
	{Name: "eta", Title: "ETA"},
}

// sortable are the columns that the store sorts by.
var sortable = []string{"name", "state", "received", "started", "runtime", "worker"}

func parseColumns(list string) ([]string, error) {
	if list == "" {
		list = DefaultColumns
	}
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
		case name == "all":
			for _, c := range taskColumns {
				out = append(out, c.Name)
			}
		case !slices.ContainsFunc(taskColumns, func(c web.Column) bool { return c.Name == name }):
			return nil, fmt.Errorf("tasks_columns: there is no column %q; choose from name, uuid, state, args, kwargs, result, "+
				"received, started, runtime, worker, exchange, routing_key, retries, revoked, exception, expires, eta, or all", name)
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	return out, nil
}

// taskTable is a table of tasks.
type taskTable struct {
	Columns []web.Column
	Rows    []taskRow
}

type taskRow struct {
	UUID  string
	Cells []taskCell
}

// taskCell is one column of one task; the template picks the value.
type taskCell struct {
	Column string
	Task   *taskView
}

func newTaskTable(names []string, tasks []monitor.Task) taskTable {
	var t taskTable
	for _, name := range names {
		i := slices.IndexFunc(taskColumns, func(c web.Column) bool { return c.Name == name })
		t.Columns = append(t.Columns, taskColumns[i])
	}
	for _, task := range tasks {
		view := newTaskView(task.Task)
		row := taskRow{UUID: task.UUID}
		for _, name := range names {
			row.Cells = append(row.Cells, taskCell{Column: name, Task: view})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// taskView is a task with its values ready to show.
type taskView struct {
	*state.Task
	ReceivedAt, StartedAt, RevokedAt, EndedAt, SentAt time.Time
}

func newTaskView(t *state.Task) *taskView {
	v := &taskView{Task: t, SentAt: moment(t.Sent), ReceivedAt: moment(t.Received), StartedAt: moment(t.Started), RevokedAt: moment(t.Revoked)}
	for _, end := range []float64{t.Succeeded, t.Failed, t.Rejected, t.Revoked} {
		if at := moment(end); at.After(v.EndedAt) {
			v.EndedAt = at
		}
	}
	return v
}

// Outcome is what the Result column shows: of a failed task its exception.
func (v *taskView) Outcome() string {
	if v.Result.Valid {
		return v.Result.String
	}
	return v.Exception.String
}

// Running reports whether a worker is at it now.
func (v *taskView) Running() bool { return v.State == state.Started && !v.StartedAt.IsZero() }
