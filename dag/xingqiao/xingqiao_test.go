package xingqiao

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/protocol"
)

// demoWorker answers the tasks of XingQiao's manual the moment they are sent.
type demoWorker struct {
	backend.Backend
	mu      sync.Mutex
	results map[string]*protocol.Result
	fail    map[string]string // task name to the result of a failing one
}

func (d *demoWorker) Publish(_ context.Context, sigs ...protocol.Signature) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sig := range sigs {
		raw, _ := sig.Options.Get("task_id")
		id, _ := protocol.Decode(raw.(protocol.Raw))
		d.results[id.(string)] = &protocol.Result{TaskID: id.(string), Status: protocol.StateSuccess, Value: d.answer(sig)}
	}
	return nil
}

func (d *demoWorker) answer(sig protocol.Signature) protocol.Raw {
	if reply, ok := d.fail[sig.Task]; ok {
		return protocol.Raw(reply)
	}
	reply := protocol.Object{{Name: "stat", Value: "OK"}}
	if v, ok := sig.Kwargs.Get("str_info"); ok {
		reply = append(reply, protocol.Field{Name: "str_info", Value: v})
	}
	if v, ok := sig.Kwargs.Get("all_taskdata"); ok {
		reply = append(reply, protocol.Field{Name: "data", Value: v})
	}
	raw, _ := protocol.Marshal(reply)
	return raw
}

func (d *demoWorker) Get(_ context.Context, id string) (*protocol.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.results[id]; r != nil {
		return r, nil
	}
	return &protocol.Result{TaskID: id, Status: protocol.StatePending}, nil
}

func (d *demoWorker) Watch(context.Context, ...string) (backend.Watch, error) {
	return nil, backend.ErrUnsupported
}

// server is XingQiao's interface over an engine whose clock stands still at noon
// and whose observers learn of results from hints.
type server struct {
	*httptest.Server
	t      *testing.T
	worker *demoWorker
	engine *engine.Engine
}

func newServer(t *testing.T) *server {
	t.Helper()
	s, err := store.Open(context.Background(), sqlitex.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := &demoWorker{results: map[string]*protocol.Result{}, fail: map[string]string{}}
	e, err := engine.New(engine.Config{Store: s, Sender: w, Backend: w, Now: func() time.Time { return noon },
		NewUUID: func() string { return "5c9e1a52-6b8a-4b57-9c0e-0a4c3c0e7d11" }})
	if err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	for _, r := range Routes(Config{Engine: e, Plugins: NewRegistry(), Version: "umbel", Location: time.UTC}) {
		router.Handle(r.Path, r.Handler).Methods(r.Methods...)
	}
	web := httptest.NewServer(router)
	t.Cleanup(web.Close)
	return &server{web, t, w, e}
}

// run lets the engine work until a job is over.
func (s *server) run(id int64) {
	s.t.Helper()
	changed := make(chan struct{}, 1)
	s.engine.OnChange(func([]int64) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.engine.Run(ctx) }()
	for ctx.Err() == nil {
		r, err := s.engine.Store().Run(context.Background(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if r.State.Terminal() {
			break
		}
		for _, n := range r.Nodes {
			if n.State == dag.NodeQueued {
				s.engine.Observe(engine.Hint{TaskID: n.TaskID, State: protocol.StateSuccess})
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	stop()
	<-done
}

func (s *server) send(method, path, body string, headers ...string) string {
	s.t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	// What curl -d says of the body.
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header[headers[i]] = []string{headers[i+1]}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		s.t.Errorf("%s %s: %s", method, path, res.Status)
	}
	for _, h := range []string{"X-Reqid", "X-Cost", "Butterfly", "Xingqiao"} {
		if res.Header.Get(h) == "" {
			s.t.Errorf("%s %s: no header %s", method, path, h)
		}
	}
	return string(data)
}

func (s *server) want(got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCreateJob(t *testing.T) {
	s := newServer(t)
	post := func(body string) string { return s.send("POST", "/xingqiao/create_job", body) }
	s.want(post(`{"job_namespace":"ceshi_namespace", "job_type":"nope"}`), `{"stat": "ERR_JOB_TYPE_NOT_EXISTS"}`)
	s.want(post(`{"job_namespace":"ceshi_namespace"}`), `{"stat": "ERR_BAD_PARAMS"}`)
	s.want(post(`{"job_namespace":"n", "job_type":"ping", "color": 1}`), `{"stat": "ERR_BAD_PARAMS"}`)
	s.want(post(`[1]`), `{"stat": "ERR_BAD_PARAMS"}`)
	s.want(post(`{"job_namespace":"n", "job_type":"ping", "job_extra": [1]}`), `{"stat": "ERR_JOB_EXTRA_INVALID"}`)
	s.want(post(`{"job_namespace":"n", "job_type":"ping", "job_extra": "{"}`), `{"stat": "ERR_JOB_EXTRA_INVALID"}`)
	s.want(post(`{"job_namespace":"n", "job_type":"hello"}`), `{"stat": "ERR_JOB_CREATE_FAILED"}`)
	s.want(post(`{"job_namespace":"ceshi_namespace", "job_type":"ping", "job_name":"one"}`), `{"stat": "OK", "job_id": 1}`)
	s.want(post(`{"job_namespace":"ceshi_namespace", "job_type":"nope", "job_name":"one"}`), `{"stat": "ERR_JOB_EXIST"}`)
}

func TestGetServesAsPost(t *testing.T) {
	s := newServer(t)
	s.want(s.send("GET", "/xingqiao/create_job?job_namespace=n&job_type=ping&job_timeout=60", ""), `{"stat": "OK", "job_id": 1}`)
	s.want(s.send("POST", "/xingqiao/get_job_detail", `{"job_id": "7"}`), `{"stat": "ERR_JOB_NOT_EXIST", "data": {}}`)
	s.want(s.send("GET", "/xingqiao/list_tasks?job_name=nobody", ""), `{"stat": "ERR_JOB_NOT_EXIST", "data": {}}`)
	s.want(s.send("GET", "/xingqiao/get_job_detail", ""), `{"stat": "ERR_BAD_PARAMS"}`)
	s.want(s.send("GET", "/xingqiao/get_job_detail?job_id=one", ""), `{"stat": "ERR_BAD_PARAMS"}`)
}

func TestHelloFromEndToEnd(t *testing.T) {
	s := newServer(t)
	s.want(s.send("POST", "/xingqiao/create_job",
		`{"job_namespace":"ceshi_namespace", "job_type":"hello", "job_name": "hi", "job_extra":{"str_info": "ceshi"}}`,
		"x_username", "wangbin34"), `{"stat": "OK", "job_id": 1}`)
	s.run(1)
	run, err := s.engine.Store().Run(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	detail := `{"stat": "OK", "data": {"job_id": 1, "job_client": "127.0.0.1", "job_namespace": "ceshi_namespace", ` +
		`"job_reqid": "` + run.ReqID + `", "job_name": "hi", "job_status": "finished", "job_type": "hello", "job_tags": "", ` +
		`"ret_stat": "OK", "ret_data": [{"stat": "OK", "str_info": "ceshi"}, {"stat": "OK"}], "job_cost": 0.0, ` +
		`"job_extra": "{\"str_info\": \"ceshi\"}", "job_timeout": 3600, "job_lock": "", "exe_id": 1, "operator": "wangbin34", ` +
		`"is_valid": true, "c_time": "2026-03-01 12:00:00", "s_time": "2026-03-01 12:00:00", ` +
		`"e_time": "2026-03-01 12:00:00", "u_time": "2026-03-01 12:00:00"}}`
	s.want(s.send("GET", "/xingqiao/get_job_detail?job_id=1", ""), detail)
	s.want(s.send("GET", "/xingqiao/get_job_detail?job_name=hi", ""), detail)
	s.want(s.send("POST", "/xingqiao/get_job_detail", `{"job_id": "1"}`), detail)

	tasks := s.send("GET", "/xingqiao/list_tasks?job_id=1&page_size=1&page_index=2", "")
	s.want(tasks, `{"stat": "OK", "data": {"total": 3, "list": [{"task_id": 2, "job_id": 1, "task_label": "task2", `+
		`"task_reqid": "`+dag.AttemptID(run.UUID, "task2", 0, 1)+`", "task_cmd": "/demo_api/ping", "task_params": null, `+
		`"task_requires": "", "task_provides": "", "task_dependencies": "task1", "task_status": "finished", `+
		`"task_cost": 0.0, "task_extra": "{}", "task_is_save": false, "ret_stat": "OK", "ret_data": null, `+
		`"task_retrymax": 0, "task_retrycount": 0, "task_timeout": 0, "c_time": "2026-03-01 12:00:00", `+
		`"s_time": "2026-03-01 12:00:00", "u_time": "2026-03-01 12:00:00"}]}}`)
	if got := s.send("GET", "/xingqiao/list_tasks?job_id=1&task_status=waiting", ""); got != `{"stat": "OK", "data": {"total": 0, "list": []}}` {
		t.Error(got)
	}
	if got := s.send("GET", "/xingqiao/list_tasks?job_id=1", ""); !strings.Contains(got, `"ret_data": "{\"str_info\": \"ceshi\"}"`) {
		t.Error(got)
	}
}

func TestFailedJobTakesTheTasksCode(t *testing.T) {
	for reply, want := range map[string]string{
		`{"stat": "ERR_DISK_FULL"}`: `"ret_stat": "ERR_DISK_FULL"`,
		`{"stat": "oops"}`:          `"ret_stat": "ERR_JOB_EXE_FAILED"`,
	} {
		s := newServer(t)
		s.worker.fail["/demo_api/ping"] = reply
		s.send("POST", "/xingqiao/create_job", `{"job_namespace":"n", "job_type":"ping"}`, "X-Username", "me")
		s.run(1)
		got := s.send("GET", "/xingqiao/get_job_detail?job_id=1", "")
		if !strings.Contains(got, want) || !strings.Contains(got, `"job_status": "failed"`) || !strings.Contains(got, `"operator": "me"`) {
			t.Errorf("%s: %s", reply, got)
		}
	}
}

func TestUnknownHandler(t *testing.T) {
	s := newServer(t)
	res, err := http.Get(s.URL + "/xingqiao/nothing")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || res.Header.Get("X-Reason") != "API Not Found" {
		t.Errorf("%s, reason %q", res.Status, res.Header.Get("X-Reason"))
	}
}

func TestPanickingPluginRefusesTheJob(t *testing.T) {
	bad := func(*Job) (*dag.Definition, error) { panic("no") }
	if _, err := build(bad, &Job{Type: "bad"}); err == nil {
		t.Error("no error")
	}
}

const helloYAML = `
name: hello
reply: xingqiao
fail_fast: true
nodes:
  - {name: task1, task: /demo_api/hello, requires: [str_info]}
  - {name: task2, task: /demo_api/ping, depends_on: [task1]}
  - {name: task3, task: /demo_api/collect, requires: [all_taskdata], depends_on: [task1, task2], is_save: true}
`

// TestPluginIsData: the plugin of the manual is a file just as well.
func TestPluginIsData(t *testing.T) {
	fromYAML, err := dag.ParseYAML([]byte(helloYAML))
	if err != nil {
		t.Fatal(err)
	}
	fromGo, err := Hello(&Job{Extra: protocol.Object{{Name: "str_info", Value: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := fromYAML.Checksum()
	if b, _ := fromGo.Checksum(); a != b {
		t.Error("the definitions differ")
	}
	r := NewRegistry()
	r.RegisterDefinition(fromYAML)
	if got := strings.Join(r.Types(), " "); got != "hello hello_params ping" {
		t.Error(got)
	}
}
