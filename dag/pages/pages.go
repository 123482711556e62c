// Package pages draws workflows and their runs for people.
package pages

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/protocol"
)

// recentRuns is how many runs the list shows.
const recentRuns = 50

// Routes are the pages:
//
//	GET  /workflows                   definitions and recent runs, ?workflow=
//	GET  /workflows/runs/{id}         one run: graph, nodes, history
//	POST /workflows/{name}/start      starts a run from a form
//	POST /workflows/runs/{id}/cancel  stops a run
func Routes(e *engine.Engine, renderer *web.Renderer) []web.Route {
	p := &pages{e: e, renderer: renderer}
	page := func(path string, fn http.HandlerFunc) web.Route {
		return web.Route{Path: path, Access: web.Page, Handler: fn}
	}
	action := func(path string, fn http.HandlerFunc) web.Route {
		return web.Route{Methods: []string{http.MethodPost}, Path: path, Access: web.Action, Handler: fn}
	}
	return []web.Route{
		page("/workflows", p.list),
		page("/workflows/runs/{id}", p.run),
		action("/workflows/{name}/start", p.start),
		action("/workflows/runs/{id}/cancel", p.cancel),
	}
}

// Nav is the entry of the page header.
func Nav() []web.Nav { return []web.Nav{{Title: "Workflows", Path: "/workflows", Order: 50}} }

// Live tells the browsers that follow a page when runs change. Call it before the
// engine runs.
func Live(e *engine.Engine, hub *web.Hub) {
	e.OnChange(func(runs []int64) {
		updates := make([]web.Update, 0, len(runs)+1)
		for _, id := range runs {
			updates = append(updates, web.Update{Topic: runTopic(id)})
		}
		hub.Publish(append(updates, web.Update{Topic: listTopic})...)
	})
}

const listTopic = "workflows"

func runTopic(id int64) string { return "run/" + strconv.FormatInt(id, 10) }

type pages struct {
	e        *engine.Engine
	renderer *web.Renderer
}

func (p *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	var problems dag.Problems
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.renderer.Error(w, r, http.StatusNotFound, "There is no such workflow or run.")
	case errors.As(err, &problems):
		p.renderer.Error(w, r, http.StatusBadRequest, problems.Error())
	default:
		slog.ErrorContext(r.Context(), "workflow page", "path", r.URL.Path, "error", err)
		p.renderer.Error(w, r, http.StatusInternalServerError, "The workflow store cannot be read now. The log has the reason.")
	}
}

// listData is what workflows.html draws.
type listData struct {
	Topic     string
	Workflows []workflowRow
	Runs      []runRow
	Chosen    string // workflow that the runs are limited to
}

type workflowRow struct {
	store.Version
	Inputs []inputField
}

// inputField is one field of a start form.
type inputField struct {
	Name, Type, Description, Default string
	Required                         bool
}

type runRow struct {
	store.Summary
	Took float64
}

func (p *pages) list(w http.ResponseWriter, r *http.Request) {
	d := listData{Topic: listTopic, Chosen: r.URL.Query().Get("workflow")}
	versions, err := p.e.Store().Definitions(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	for _, v := range versions {
		d.Workflows = append(d.Workflows, workflowRow{v, fieldsOf(v.Definition)})
	}
	runs, err := p.e.Store().Runs(r.Context(), store.Filter{Workflow: d.Chosen, Limit: recentRuns})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	for _, s := range runs {
		d.Runs = append(d.Runs, runRow{s, s.Duration(p.e.Now()).Seconds()})
	}
	p.renderer.Render(w, r, http.StatusOK, "workflows.html", d)
}

func (p *pages) run(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(mux.Vars(r)["id"], 10, 64)
	if err != nil {
		p.fail(w, r, store.ErrNotFound)
		return
	}
	run, err := p.e.Store().Run(r.Context(), id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	history, err := p.e.Store().History(r.Context(), id, 0)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.renderer.Render(w, r, http.StatusOK, "workflow_run.html", p.viewRun(run, history))
}

func (p *pages) start(w http.ResponseWriter, r *http.Request) {
	name := mux.Vars(r)["name"]
	v, err := p.e.Store().Definition(r.Context(), name)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, dag.MaxSource)
	inputs, err := formInputs(v.Definition, r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	run, err := p.e.Start(r.Context(), engine.Start{
		Workflow: name, Inputs: inputs, Origin: dag.Origin{Source: "page", Client: r.RemoteAddr},
	})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	http.Redirect(w, r, web.URL(r, "/workflows/runs/"+strconv.FormatInt(run.ID, 10)), http.StatusSeeOther)
}

func (p *pages) cancel(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(mux.Vars(r)["id"], 10, 64)
	if err != nil {
		p.fail(w, r, store.ErrNotFound)
		return
	}
	if _, err := p.e.Cancel(r.Context(), id, "cancelled on its page"); err != nil {
		p.fail(w, r, err)
		return
	}
	http.Redirect(w, r, web.URL(r, "/workflows/runs/"+strconv.FormatInt(id, 10)), http.StatusSeeOther)
}

// fieldsOf lists the inputs of a definition, required ones first.
func fieldsOf(def *dag.Definition) []inputField {
	var required, others []inputField
	for _, name := range def.InputNames() {
		in := def.Inputs[name]
		f := inputField{Name: name, Type: in.Type, Description: in.Description, Required: in.Required, Default: formText(in.Default)}
		if f.Required {
			required = append(required, f)
		} else {
			others = append(others, f)
		}
	}
	return append(required, others...)
}

// formText is how a value stands in a form: a string bare, anything else as JSON.
func formText(v dag.Value) string {
	if tree, err := protocol.Decode(v); err == nil {
		if s, ok := tree.(string); ok {
			return s
		}
	}
	return string(v)
}

// formInputs reads a start form; an empty field is not given.
func formInputs(def *dag.Definition, r *http.Request) (protocol.Raw, error) {
	if err := r.ParseForm(); err != nil {
		return nil, dag.Problems{{Text: "the form cannot be read"}}
	}
	inputs := protocol.Object{}
	for _, name := range def.InputNames() {
		text := strings.TrimSpace(r.PostForm.Get("input." + name))
		if text == "" {
			continue
		}
		var value any = text
		if def.Inputs[name].Type != "string" {
			tree, err := protocol.Decode([]byte(text))
			switch {
			case err == nil:
				value = tree
			case def.Inputs[name].Type != "":
				return nil, dag.Problems{{Field: "inputs." + name, Text: "input " + name + " is no " + def.Inputs[name].Type}}
			}
		}
		inputs = append(inputs, protocol.Field{Name: name, Value: value})
	}
	return protocol.Marshal(inputs)
}
