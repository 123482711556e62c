package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// The wire structs of the API. Times are RFC 3339 in UTC and absent when a thing
// has not happened; durations are seconds.
type (
	versionView struct {
		Name        string          `json:"name"`
		Version     int             `json:"version"`
		Checksum    string          `json:"checksum"`
		Source      string          `json:"source"`
		Created     time.Time       `json:"created"`
		Description string          `json:"description"`
		Nodes       int             `json:"nodes"`
		Definition  *dag.Definition `json:"definition,omitempty"`
	}
	runView struct {
		ID        int64           `json:"id"`
		UUID      string          `json:"uuid"`
		Workflow  string          `json:"workflow"`
		Version   int             `json:"version"`
		Name      string          `json:"name,omitempty"`
		Namespace string          `json:"namespace,omitempty"`
		Tags      string          `json:"tags,omitempty"`
		Operator  string          `json:"operator,omitempty"`
		Source    string          `json:"source,omitempty"`
		State     dag.RunState    `json:"state"`
		RetStat   string          `json:"ret_stat"`
		RetData   json.RawMessage `json:"ret_data,omitempty"`
		Reason    string          `json:"reason,omitempty"`
		Created   time.Time       `json:"created"`
		Started   time.Time       `json:"started,omitzero"`
		Ended     time.Time       `json:"ended,omitzero"`
		Duration  float64         `json:"duration"`
		Progress  progressView    `json:"progress"`
		Inputs    json.RawMessage `json:"inputs,omitempty"`
		Nodes     []nodeView      `json:"nodes,omitempty"`
	}
	progressView struct {
		Total   int `json:"total"`
		Done    int `json:"done"`
		Failed  int `json:"failed"`
		Running int `json:"running"`
	}
	nodeView struct {
		ID        int64           `json:"id"`
		Name      string          `json:"name"`
		Task      string          `json:"task"`
		DependsOn []string        `json:"depends_on"`
		State     dag.NodeState   `json:"state"`
		Reason    string          `json:"reason,omitempty"`
		Attempt   int             `json:"attempt"`
		TaskID    string          `json:"task_id,omitempty"`
		Worker    string          `json:"worker,omitempty"`
		RetStat   string          `json:"ret_stat"`
		Result    json.RawMessage `json:"result,omitempty"`
		ResultRef string          `json:"result_ref,omitempty"`
		Error     string          `json:"error,omitempty"`
		Traceback string          `json:"traceback,omitempty"`
		Runtime   float64         `json:"runtime,omitempty"`
		Ready     time.Time       `json:"ready,omitzero"`
		Queued    time.Time       `json:"queued,omitzero"`
		Started   time.Time       `json:"started,omitzero"`
		Ended     time.Time       `json:"ended,omitzero"`
	}
)

func durationOf(d dag.Duration) time.Duration { return time.Duration(d) }

func viewVersion(v store.Version, whole bool) versionView {
	out := versionView{
		Name: v.Definition.Name, Version: v.Version, Checksum: v.Checksum, Source: v.Source, Created: v.Created,
		Description: v.Definition.Description, Nodes: len(v.Definition.Nodes),
	}
	if whole {
		out.Definition = v.Definition
	}
	return out
}

func (a api) list(r *http.Request) (answer, error) {
	versions, err := a.e.Store().Definitions(r.Context())
	if err != nil {
		return answer{}, err
	}
	views := make([]versionView, len(versions))
	for i, v := range versions {
		views[i] = viewVersion(v, false)
	}
	return answer{body: map[string]any{"workflows": views}}, nil
}

func (a api) workflow(r *http.Request) (answer, error) {
	v, err := a.e.Store().Definition(r.Context(), mux.Vars(r)["name"])
	if err != nil {
		return answer{}, err
	}
	return answer{body: viewVersion(v, true)}, nil
}

func (a api) runs(r *http.Request) (answer, error) {
	f := store.Filter{State: dag.RunState(r.URL.Query().Get("state"))}
	if name, ok := mux.Vars(r)["name"]; ok {
		if _, err := a.e.Store().Definition(r.Context(), name); err != nil {
			return answer{}, err
		}
		f.Workflow = name
	}
	var err error
	if f.Before, err = number(r, "before"); err != nil {
		return answer{}, err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return answer{}, err
	}
	f.Limit = int(min(limit, 500))
	runs, err := a.e.Store().Runs(r.Context(), f)
	if err != nil {
		return answer{}, err
	}
	views := make([]runView, len(runs))
	for i, s := range runs {
		views[i] = a.viewSummary(s)
	}
	return answer{body: map[string]any{"runs": views}}, nil
}

// number reads an optional positive number from the query.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, bad(name, "%s must be a positive number, not %q", name, text)
	}
	return n, nil
}

func (a api) viewSummary(s store.Summary) runView {
	return runView{
		ID: s.ID, UUID: s.UUID, Workflow: s.Workflow, Version: s.Version, Name: s.Name, Namespace: s.Namespace,
		Tags: s.Tags, Operator: s.Operator, Source: s.Source, State: s.State, RetStat: s.RetStat, Reason: s.Reason,
		Created: s.Created, Started: s.Started, Ended: s.Ended, Duration: s.Duration(a.e.Now()).Seconds(),
		Progress: progressView{s.Total, s.Done, s.Failed, s.Running},
	}
}

func (a api) run(r *http.Request) (answer, error) {
	id, err := runID(r)
	if err != nil {
		return answer{}, err
	}
	run, err := a.e.Store().Run(r.Context(), id)
	if err != nil {
		return answer{}, err
	}
	return answer{body: a.viewRun(run)}, nil
}

func (a api) viewRun(r *dag.Run) runView {
	v := runView{
		ID: r.ID, UUID: r.UUID, Workflow: r.Def.Name, Version: r.Version, Name: r.Name, Namespace: r.Namespace,
		Tags: r.Tags, Operator: r.Operator, Source: r.Source, State: r.State, RetStat: r.RetStat,
		RetData: wire(r.RetData), Reason: r.Reason, Created: r.Created, Started: r.Started, Ended: r.Ended,
		Duration: r.Duration(a.e.Now()).Seconds(), Inputs: wire(r.Inputs), Nodes: make([]nodeView, len(r.Nodes)),
	}
	v.Progress.Total = len(r.Nodes)
	for i := range r.Nodes {
		n, spec := &r.Nodes[i], &r.Def.Nodes[i]
		v.Nodes[i] = nodeView{
			ID: n.ID, Name: n.Name, Task: spec.Task, DependsOn: append([]string{}, spec.DependsOn...),
			State: n.State, Reason: dag.Explain(r, i, a.e.Fleet()), Attempt: n.Attempt, TaskID: n.TaskID, Worker: n.Worker,
			RetStat: n.RetStat, Result: wire(n.Result), ResultRef: n.ResultRef, Error: n.Error, Traceback: n.Traceback,
			Runtime: n.Runtime, Ready: n.ReadyAt, Queued: n.QueuedAt, Started: n.StartedAt, Ended: n.EndedAt,
		}
		switch {
		case n.State == dag.NodeSucceeded || n.State == dag.NodeSkipped:
			v.Progress.Done++
		case n.State == dag.NodeFailed || n.State == dag.NodeUpstreamFailed:
			v.Progress.Failed++
		case n.State.InFlight():
			v.Progress.Running++
		}
	}
	return v
}

// wire makes kombu's JSON strict: a value with NaN or Infinity is shown as text.
func wire(raw protocol.Raw) json.RawMessage {
	if len(raw) == 0 || json.Valid(raw) {
		return raw
	}
	quoted, err := json.Marshal(string(raw))
	if err != nil {
		return nil
	}
	return quoted
}
