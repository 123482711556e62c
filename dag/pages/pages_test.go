package pages

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/dag/demo"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/static"
	"github.com/umbel-go/umbel/templates"
)

// deaf takes tasks and never answers.
type deaf struct{ backend.Backend }

func (deaf) Publish(context.Context, ...protocol.Signature) error { return nil }

// site serves the pages of an engine whose loops do not run.
func site(t *testing.T) (*engine.Engine, *httptest.Server) {
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
	renderer, err := web.NewRenderer(templates.FS, static.FS)
	if err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	for _, route := range Routes(e, renderer) {
		methods := route.Methods
		if len(methods) == 0 {
			methods = []string{http.MethodGet}
		}
		router.Handle(route.Path, route.Handler).Methods(methods...)
	}
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return e, server
}

func page(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", res.Request.URL, res.Status, body)
	}
	return string(body)
}

func TestPagesShowDefinitionAndRun(t *testing.T) {
	e, server := site(t)
	res, err := http.Get(server.URL + "/workflows")
	if body := page(t, res, err); !strings.Contains(body, "No workflow yet") {
		t.Error("the empty page teaches nothing")
	}
	defs, err := demo.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Define(context.Background(), defs[0], "demo"); err != nil {
		t.Fatal(err)
	}
	res, err = http.PostForm(server.URL+"/workflows/demo-diamond/start", url.Values{"input.x": {"7"}})
	body := page(t, res, err)
	for _, want := range []string{`class="graph"`, `id="node-total"`, `data-live="run/1"`, `&#34;x&#34;: 7`, "demo.xsum"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of the run lacks %s", want)
		}
	}
	res, err = http.Get(server.URL + "/workflows?workflow=demo-diamond")
	if body := page(t, res, err); !strings.Contains(body, "/workflows/runs/1") {
		t.Error("the list lacks the run")
	}
}

func TestStartFormRefusesWrongInput(t *testing.T) {
	e, server := site(t)
	defs, err := demo.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Define(context.Background(), defs[0], "demo"); err != nil {
		t.Fatal(err)
	}
	res, err := http.PostForm(server.URL+"/workflows/demo-diamond/start", url.Values{"input.x": {"seven"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %s", res.Status)
	}
}

func TestUnknownRunIsNotFound(t *testing.T) {
	_, server := site(t)
	for _, id := range []string{"7", "x", "99999999999999999999"} {
		res, err := http.Get(server.URL + "/workflows/runs/" + id)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("run %s: %s", id, res.Status)
		}
	}
}
