package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/protocol"
)

type deaf struct{ backend.Backend }

func (deaf) Publish(context.Context, ...protocol.Signature) error { return nil }

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	s, err := store.Open(context.Background(), sqlitex.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	e, err := engine.New(engine.Config{Store: s, Sender: deaf{}, Backend: deaf{}})
	if err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	for _, r := range Routes(e) {
		methods := r.Methods
		if len(methods) == 0 {
			methods = []string{http.MethodGet}
		}
		router.Handle(r.Path, r.Handler).Methods(methods...)
	}
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server
}

const text = `
name: report
inputs: {x: {type: number, required: true}}
nodes:
  - {name: a, task: demo.add, args: ["${inputs.x}", 1]}
  - {name: b, task: demo.mul, args: ["${nodes.a.result}", 2], depends_on: [a]}
`

func TestAPI(t *testing.T) {
	server := serve(t)
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string // subset of the answer
	}{
		{"GET", "/api/v1/workflows", "", 200, `"workflows":[]`},
		{"POST", "/api/v1/workflows", "name: x\nnodes: []", 400, `"field":"nodes"`},
		{"POST", "/api/v1/workflows", "name: x\nnope: 1", 400, `"line":2,"column":1`},
		{"POST", "/api/v1/workflows/report/runs", "", 404, `"error":"workflow report: not found"`},
		{"POST", "/api/v1/workflows", text, 201, `"version":1`},
		{"POST", "/api/v1/workflows", text, 201, `"version":1`},
		{"POST", "/api/v1/workflows", text + "  - {name: c, task: t}\n", 201, `"version":2`},
		{"POST", "/api/v1/workflows", text, 201, `"version":1`},
		{"GET", "/api/v1/workflows/report", "", 200, `"task":"demo.mul"`},
		{"POST", "/api/v1/workflows/report/runs", "", 400, `"field":"inputs.x"`},
		{"POST", "/api/v1/workflows/report/runs", `{"inputs": {"x": "1"}}`, 400, `must be of type number`},
		{"POST", "/api/v1/workflows/report/runs", `{"input": {}}`, 400, `unknown field`},
		{"POST", "/api/v1/workflows/report/runs", `{"inputs": {"x": 1}, "name": "first"}`, 201, `"id":1`},
		{"POST", "/api/v1/workflows/report/runs", `{"inputs": {"x": 1}, "name": "first"}`, 409, `"field":"name"`},
		{"GET", "/api/v1/runs", "", 200, `"progress":{"total":2,"done":0,"failed":0,"running":0}`},
		{"GET", "/api/v1/runs?limit=0", "", 400, `"field":"limit"`},
		{"GET", "/api/v1/workflows/report/runs?state=pending", "", 200, `"name":"first"`},
		{"GET", "/api/v1/workflows/nope/runs", "", 404, `not found`},
		{"GET", "/api/v1/runs/1", "", 200, `"inputs":{"x":1}`},
		{"GET", "/api/v1/runs/9", "", 404, `run 9: not found`},
		{"GET", "/api/v1/runs/nine", "", 400, `"field":"id"`},
		{"POST", "/api/v1/runs/1/cancel", `{"reason": "enough"}`, 202, `"reason":"enough"`},
		{"POST", "/api/v1/runs/9/cancel", ``, 404, `not found`},
	} {
		req, err := http.NewRequest(step.method, server.URL+step.path, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body json.RawMessage
		err = json.NewDecoder(res.Body).Decode(&body)
		res.Body.Close()
		if err != nil || res.StatusCode != step.status || !strings.Contains(string(body), step.want) {
			t.Errorf("%s %s %s: %s %s, %v", step.method, step.path, step.body, res.Status, body, err)
		}
	}
}
