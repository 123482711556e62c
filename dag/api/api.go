// Package api serves workflows as JSON below /api/v1.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/web"
)

// Routes are the routes of the workflow API:
//
//	GET  /api/v1/workflows              newest version of every workflow
//	POST /api/v1/workflows              define one, YAML or JSON by Content-Type
//	GET  /api/v1/workflows/{name}       one, with its definition
//	GET  /api/v1/workflows/{name}/runs  its runs, ?state= ?before= ?limit=
//	POST /api/v1/workflows/{name}/runs  start a run: {"inputs": {...}, "name": ...}
//	GET  /api/v1/runs                   runs of all workflows
//	GET  /api/v1/runs/{id}              one run with its nodes
//	POST /api/v1/runs/{id}/cancel       stop it: {"reason": ...}
//
// An error is {"error": ..., "field": ...} with status 400, 404 or 409.
func Routes(e *engine.Engine) []web.Route {
	a := api{e: e}
	read := func(path string, h handler) web.Route {
		return web.Route{Path: path, Access: web.API, Handler: h}
	}
	write := func(path string, h handler) web.Route {
		return web.Route{Methods: []string{http.MethodPost}, Path: path, Access: web.Action, Handler: h}
	}
	return []web.Route{
		read("/api/v1/workflows", a.list),
		write("/api/v1/workflows", a.define),
		read("/api/v1/workflows/{name}", a.workflow),
		read("/api/v1/workflows/{name}/runs", a.runs),
		write("/api/v1/workflows/{name}/runs", a.start),
		read("/api/v1/runs", a.runs),
		read("/api/v1/runs/{id}", a.run),
		write("/api/v1/runs/{id}/cancel", a.cancel),
	}
}

type api struct{ e *engine.Engine }

// handler answers a request with a value or an error.
type handler func(r *http.Request) (answer, error)

type answer struct {
	status int // 0 means 200
	body   any
}

// fault is an error with its status.
type fault struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
	Field  string `json:"field,omitempty"`
	// Problems lists everything that is wrong with a definition.
	Problems dag.Problems `json:"problems,omitempty"`
}

func (f fault) Error() string { return f.Text }

func bad(field, format string, args ...any) error {
	return fault{Status: http.StatusBadRequest, Field: field, Text: fmt.Sprintf(format, args...)}
}

func faultOf(err error) fault {
	var f fault
	var problems dag.Problems
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &problems) && len(problems) > 0:
		return fault{http.StatusBadRequest, problems[0].Error(), problems[0].Field, problems}
	case errors.As(err, &large):
		return fault{Status: http.StatusRequestEntityTooLarge, Text: "the request is too large"}
	case errors.Is(err, store.ErrNotFound):
		return fault{Status: http.StatusNotFound, Text: err.Error()}
	case errors.Is(err, store.ErrNameTaken):
		return fault{Status: http.StatusConflict, Text: err.Error(), Field: "name"}
	}
	return fault{Status: http.StatusInternalServerError, Text: "the server could not do this; its log has the reason"}
}

// ServeHTTP writes the answer or the error.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, dag.MaxSource)
	a, err := h(r)
	if err != nil {
		f := faultOf(err)
		if f.Status >= http.StatusInternalServerError {
			slog.ErrorContext(r.Context(), "workflow API", "path", r.URL.Path, "error", err)
		}
		a = answer{f.Status, f}
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		slog.ErrorContext(r.Context(), "workflow API answer", "path", r.URL.Path, "error", err)
		http.Error(w, `{"error": "the answer cannot be written"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(append(body, '\n')) // the client is gone if this fails
}

// readJSON reads an optional JSON body; unknown members are refused.
func readJSON(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	var large *http.MaxBytesError
	switch err := dec.Decode(into); {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &large):
		return err
	default:
		return bad("", "the body is not the JSON that is expected: %v", err)
	}
}

func (a api) define(r *http.Request) (answer, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return answer{}, err
	}
	parse := dag.ParseYAML
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/json" {
		parse = dag.ParseJSON
	}
	def, err := parse(text)
	if err != nil {
		return answer{}, err
	}
	v, err := a.e.Define(r.Context(), def, "api")
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, viewVersion(v, true)}, nil
}

type startBody struct {
	Inputs    json.RawMessage `json:"inputs"`
	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Tags      string          `json:"tags"`
	Timeout   *dag.Duration   `json:"timeout"`
}

func (a api) start(r *http.Request) (answer, error) {
	var body startBody
	if err := readJSON(r, &body); err != nil {
		return answer{}, err
	}
	s := engine.Start{Workflow: mux.Vars(r)["name"], Inputs: body.Inputs}
	if body.Timeout != nil {
		if *body.Timeout < 0 {
			return answer{}, bad("timeout", "timeout %s is negative", *body.Timeout)
		}
		s.Timeout = durationOf(*body.Timeout)
	}
	s.Name, s.Namespace, s.Tags, s.Source = body.Name, body.Namespace, body.Tags, "api"
	s.Client = r.RemoteAddr
	run, err := a.e.Start(r.Context(), s)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusCreated, a.viewRun(run)}, nil
}

func (a api) cancel(r *http.Request) (answer, error) {
	id, err := runID(r)
	if err != nil {
		return answer{}, err
	}
	var body struct {
		Reason string `json:"reason"`
	}
	if err := readJSON(r, &body); err != nil {
		return answer{}, err
	}
	run, err := a.e.Cancel(r.Context(), id, body.Reason)
	if err != nil {
		return answer{}, err
	}
	return answer{http.StatusAccepted, a.viewRun(run)}, nil
}

func runID(r *http.Request) (int64, error) {
	text := mux.Vars(r)["id"]
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, bad("id", "%q is no run id; run ids are positive numbers", text)
	}
	return id, nil
}
