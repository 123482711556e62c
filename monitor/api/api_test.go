package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/monitortest"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/monitor/store"
	"github.com/umbel-go/umbel/protocol"
)

// captured is one answer of Flower 2.2.
type captured struct {
	Path   string          `json:"path"`
	Status int             `json:"status"`
	Type   string          `json:"content_type"`
	JSON   json.RawMessage `json:"json"`
	Body   string          `json:"body"`
}

func golden(t *testing.T) map[string]captured {
	t.Helper()
	data, err := os.ReadFile("testdata/flower.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []captured
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]captured{}
	for _, c := range list {
		out[c.Path] = c
	}
	return out
}

// decode reads a captured JSON answer.
func decode(t *testing.T, raw []byte) protocol.Object {
	t.Helper()
	o, err := protocol.DecodeObject(raw)
	if err != nil {
		t.Fatalf("%v in %.200s", err, raw)
	}
	return o
}

// taskOf is the task that Flower showed.
func taskOf(o protocol.Object) *state.Task {
	get := func(name string) any { v, _ := o.Get(name); return v }
	number := func(name string) float64 { return protocol.Float(get(name)) }
	t := &state.Task{
		UUID: o.String("uuid"), Name: o.String("name"), State: o.String("state"), Worker: o.String("worker"),
		Received: number("received"), Sent: number("sent"), Started: number("started"), Rejected: number("rejected"),
		Succeeded: number("succeeded"), Failed: number("failed"), Retried: number("retried"), Revoked: number("revoked"),
		Args: state.TextOf(get("args")), Kwargs: state.TextOf(get("kwargs")), ETA: state.TextOf(get("eta")),
		Expires: state.TextOf(get("expires")), Result: state.TextOf(get("result")), Exception: state.TextOf(get("exception")),
		Traceback: state.TextOf(get("traceback")), Timestamp: number("timestamp"), Exchange: o.String("exchange"),
		RoutingKey: o.String("routing_key"), Clock: int64(number("clock")), Client: o.String("client"),
		RootID: o.String("root_id"), ParentID: o.String("parent_id"),
	}
	if v := get("runtime"); v != nil {
		f := protocol.Float(v)
		t.Runtime = &f
	}
	if v := get("retries"); v != nil {
		n := int64(protocol.Float(v))
		t.Retries = &n
	}
	return t
}

// site is the API of a monitor that knows what Flower knew when its answers were
// captured.
type site struct {
	t       *testing.T
	handler http.Handler
	monitor *monitor.Monitor
	broker  *monitortest.Broker
	control *monitortest.Control
}

const (
	source = "redis://fake:6379/0"
	node   = "g1@golden"
	now    = 1795216530
)

func serve(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, broker: &monitortest.Broker{}, control: &monitortest.Control{}}
	answers := golden(t)
	path := filepath.Join(t.TempDir(), "m.db")
	fill(t, path, decode(t, answers["/api/tasks"].JSON))
	whole := decode(t, answers["/api/workers?workername="+node].JSON)
	for _, f := range whole[0].Value.(protocol.Object) {
		raw, err := protocol.Marshal(f.Value)
		if err != nil {
			t.Fatal(err)
		}
		s.control.Answer(node, f.Name, raw)
	}
	m, err := monitor.New(monitor.Config{
		Sources: []monitor.Source{{Broker: s.broker, Control: s.control}}, Path: path, MaxAge: -1, Version: "test",
		Now: func() time.Time { return time.Unix(now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.monitor = m
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	router := mux.NewRouter().SkipClean(true)
	for _, r := range Routes(m) {
		methods := r.Methods
		if len(methods) == 0 {
			methods = []string{http.MethodGet, http.MethodHead}
		}
		router.Handle(r.Path, r.Handler).Methods(methods...)
	}
	router.Handle("/workers", WorkersJSON(m))
	s.handler = router
	return s
}

// fill stores the tasks and worker that Flower showed.
func fill(t *testing.T, path string, tasks protocol.Object) {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	id, err := db.Broker(ctx, source)
	if err != nil {
		t.Fatal(err)
	}
	batch := &store.Batch{
		Workers: []store.WorkerWrite{{Broker: id, Worker: &state.Worker{
			Hostname: node, PID: 15359, Freq: "2.0", Heartbeats: []float64{now - 2, now - 1}, Clock: 40, Active: "1", Processed: "8",
			Loadavg: protocol.Raw("[0.5, 0.25, 1.0]"), SwIdent: "py-celery", SwVer: "5.7.0", SwSys: "Linux", Seen: now - 1}}},
		Events: []store.EventCount{{Broker: id, Hostname: node, Type: "worker-heartbeat", N: 6},
			{Broker: id, Hostname: node, Type: "task-received", Task: "golden.add", N: 9}},
	}
	for _, f := range tasks {
		batch.Tasks = append(batch.Tasks, store.TaskWrite{Broker: id, Task: taskOf(f.Value.(protocol.Object))})
	}
	if err := db.Commit(ctx, batch); err != nil {
		t.Fatal(err)
	}
}

func (s *site) do(method, target string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *site) get(target string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.do(http.MethodGet, strings.ReplaceAll(target, " ", "%20"))
}

// TestTasksAsFlower compares whole bodies with Flower's, byte for byte.
func TestTasksAsFlower(t *testing.T) {
	s := serve(t)
	for path, want := range golden(t) {
		if !strings.HasPrefix(path, "/api/task") {
			continue
		}
		got := s.get(path)
		if got.Code != want.Status || got.Header().Get("Content-Type") != want.Type {
			t.Errorf("%s: %d %s, want %d %s", path, got.Code, got.Header().Get("Content-Type"), want.Status, want.Type)
			continue
		}
		body := want.Body
		if want.JSON != nil {
			o := decode(t, want.JSON)
			if strings.HasPrefix(path, "/api/task/info/") {
				o = append(o, protocol.Field{Name: "task-id", Value: o.String("uuid")})
			}
			raw, err := protocol.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			body = string(escapeSlash(raw))
		}
		if got.Body.String() != body {
			t.Errorf("%s:\ngot  %.1500s\nwant %.1500s", path, got.Body, body)
		}
	}
}

func TestWorkersAsFlower(t *testing.T) {
	s, answers := serve(t), golden(t)
	want := decode(t, answers["/api/workers?workername="+node].JSON)[0].Value.(protocol.Object)
	for _, path := range []string{"/api/workers?refresh=1", "/api/workers", "/api/workers?workername=" + node} {
		got := s.get(path)
		info, _ := decode(t, got.Body.Bytes())[0].Value.(protocol.Object)
		for _, f := range want {
			if v, _ := info.Get(f.Name); !reflect.DeepEqual(v, f.Value) && f.Name != "timestamp" {
				t.Errorf("%s: %s is %v, Flower has %v", path, f.Name, v, f.Value)
			}
		}
		for name, want := range map[string]any{
			"status": "online", "alive": true, "running_tasks": json.Number("1"), "completed_tasks": json.Number("8"),
			"queues": []any{"celery"}, "timestamp": json.Number("1795216530.0"), "heartbeat_expires": json.Number("1795216533.0"),
		} {
			if v, _ := info.Get(name); !reflect.DeepEqual(v, want) {
				t.Errorf("%s: %s is %v, want %v", path, name, v, want)
			}
		}
		stats, _ := info.Get("stats")
		nested, _ := stats.(protocol.Object).Get("pool")
		if mirror, _ := info.Get("pool"); !reflect.DeepEqual(mirror, nested) || mirror == nil {
			t.Errorf("%s: pool is %v", path, mirror)
		}
	}
	if got := s.get("/api/workers?status=True").Body.String(); got != `{"g1@golden": true}` {
		t.Errorf("status: %s", got)
	}
	if got := s.get("/api/workers?workername=nope"); got.Code != 404 || got.Body.String() != "Unknown worker 'nope'" {
		t.Errorf("unknown worker: %d %s", got.Code, got.Body)
	}
}

// TestNoKeyIsAbsent: public scripts read len(w["active"]) of workers that were
// never inspected.
func TestNoKeyIsAbsent(t *testing.T) {
	s := serve(t)
	info, _ := decode(t, s.get("/api/workers").Body.Bytes())[0].Value.(protocol.Object)
	if pool, _ := info.Get("pool"); !reflect.DeepEqual(pool, protocol.Object{}) {
		t.Errorf("pool of a worker that was never inspected: %v", pool)
	}
	for _, name := range append([]string{"timestamp", "status"}, monitor.InspectMethods...) {
		if v, ok := info.Get(name); !ok || v == nil {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestWorkersTable(t *testing.T) {
	s := serve(t)
	want := `{"data": [{"worker-heartbeat": 6, "task-received": 9, "hostname": "g1@golden", "pid": 15359, "freq": 2.0, ` +
		`"heartbeats": [1795216528.0, 1795216529.0], "clock": 40, "active": 1, "processed": 8, "loadavg": [0.5, 0.25, 1.0], ` +
		`"sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux", "status": true}]}`
	if got := s.get("/workers?json=1&refresh=1").Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// The same fields in the same order as Flower's.
	theirs := decode(t, golden(t)["/workers?json=1"].JSON)[0].Value.([]any)[0].(protocol.Object)
	ours := decode(t, []byte(want))[0].Value.([]any)[0].(protocol.Object)
	names := func(o protocol.Object) (out []string) {
		for _, f := range o {
			if !strings.Contains(f.Name, "-") {
				out = append(out, f.Name)
			}
		}
		return out
	}
	if !reflect.DeepEqual(names(ours), names(theirs)) {
		t.Errorf("fields %v, Flower's %v", names(ours), names(theirs))
	}
}

func TestBadParameters(t *testing.T) {
	s := serve(t)
	for target, want := range map[string]string{
		"/api/workers?refresh=zz":                       "Invalid argument 'zz' of type 'bool'",
		"/api/tasks?limit=abc":                          "Invalid argument 'abc' of type 'int'",
		"/api/tasks?limit=":                             "Invalid argument '' of type 'int'",
		"/api/tasks?offset=x":                           "Invalid argument 'x' of type 'int'",
		"/api/tasks?sort_by=x":                          "Invalid sort_by 'x', expected one of name, received, started, state",
		"/api/tasks?received_start=yesterday":           "Invalid received_start or received_end, expected format 'YYYY-MM-DD HH:MM'",
		"/api/tasks?search=" + url.QueryEscape(`"open`): `{"error": "Unterminated quoted phrase at position 0."}`,
		"/api/tasks?broker=other":                       `bad task query: no broker is named "other"`,
	} {
		if got := s.get(target); got.Code != 400 || got.Body.String() != want {
			t.Errorf("%s: %d %s", target, got.Code, got.Body)
		}
	}
}

func TestTaskListEdges(t *testing.T) {
	s := serve(t)
	for target, want := range map[string]struct {
		tasks int
		total string
	}{
		"/api/tasks":                                     {9, "9"},
		"/api/tasks?limit=0":                             {0, "9"},
		"/api/tasks?limit=-1":                            {0, "9"},
		"/api/tasks?offset=-5&limit=2":                   {2, "9"},
		"/api/tasks?state=All&workername=All":            {9, "9"},
		"/api/tasks?state=failure":                       {1, "1"},
		"/api/tasks?sort_by=":                            {9, "9"},
		"/api/tasks?search=golden.add":                   {5, "5"},
		"/api/tasks?received_start=2026-11-20T00:00:00Z": {9, "9"},
		"/api/tasks?received_end=1500000000":             {1, "1"}, // never received, so it passes
		"/api/tasks?started_start=2030-01-01 00:00":      {2, "2"}, // never started
	} {
		got := s.get(target)
		if n := len(decode(t, got.Body.Bytes())); got.Code != 200 || n != want.tasks || got.Header().Get("X-Total-Count") != want.total {
			t.Errorf("%s: %d, %d tasks of %s", target, got.Code, n, got.Header().Get("X-Total-Count"))
		}
	}
}

func TestEtagAndHead(t *testing.T) {
	s := serve(t)
	first := s.get("/api/tasks")
	tag := first.Header().Get("Etag")
	if again := s.do(http.MethodGet, "/api/tasks", "If-None-Match", tag); tag == "" || again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("with the tag %s: %d", tag, again.Code)
	}
	if head := s.do(http.MethodHead, "/api/tasks"); head.Code != 200 || head.Header().Get("Etag") != tag {
		t.Errorf("HEAD: %d", head.Code)
	}
}

func TestQueues(t *testing.T) {
	s := serve(t)
	s.get("/api/workers?refresh=1")
	s.broker.SetQueue(broker.QueueInfo{Name: "celery", Messages: 3, Ready: 2, Unacked: 1, Consumers: -1, Oldest: time.Unix(now-5, 0)})
	for target, want := range map[string]string{
		"/api/queues/length": `{"active_queues": [{"name": "celery", "messages": 2}]}`,
		"/api/queues": `{"active_queues": [{"name": "celery", "messages": 3, "ready": 2, "unacked": 1, "consumers": 1, "idle_since": null, "oldest_age": 5.0}], ` +
			`"queues": {"celery": {"name": "celery", "messages": 3, "ready": 2, "unacked": 1, "consumers": 1, "idle_since": null, "oldest_age": 5.0}}}`,
		"/api/stats": `{"tasks": {"active": 1, "processed": 8, "failed": 1, "succeeded": 5, "retried": 0, "received": 1}, ` +
			`"workers": {"online": 1, "offline": 0}, "queues": {"celery": 3}, ` +
			`"rates": {"succeeded_per_minute": 0, "failed_per_minute": 0}, "uptime": 0, "version": "test"}`,
	} {
		if got := s.get(target).Body.String(); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", target, got, want)
		}
	}
}

func TestBrokerAway(t *testing.T) {
	s := serve(t)
	s.broker.Break()
	if got := s.get("/api/queues/length"); got.Code != 503 || got.Body.String() != unavailable {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := s.get("/api/stats"); got.Code != 200 {
		t.Errorf("stats: %d %s", got.Code, got.Body)
	}
}

func TestMetricsAndHealth(t *testing.T) {
	s := serve(t)
	if got := s.get("/healthcheck"); got.Code != 200 || got.Body.String() != "OK" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	s.get("/api/workers?refresh=1")
	got := s.get("/metrics")
	if got.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("type %s", got.Header().Get("Content-Type"))
	}
	for _, line := range []string{
		`flower_events_total{task="golden.add",type="task-received",worker="g1@golden"} 9`,
		`flower_worker_online{worker="g1@golden"} 1`,
		`flower_worker_number_of_currently_executing_tasks{worker="g1@golden"} 1`,
		`celery_worker_up{hostname="golden"} 1`,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(got.Body.String(), "\n"+line) {
			t.Errorf("no line %s", line)
		}
	}
}

func TestControl(t *testing.T) {
	s := serve(t)
	s.control.Answer(node, "pool_grow", protocol.Raw(`{"ok": "pool will grow"}`))
	s.control.Answer(node, "pool_shrink", protocol.Raw(`{"error": "ValueError('busy')"}`))
	for _, tc := range []struct {
		target string
		code   int
		body   string
	}{
		{"/api/worker/pool/grow/g1@golden?n=2", 200, `{"message": "Growing 'g1@golden' worker's pool by 2"}`},
		{"/api/worker/pool/shrink/g1@golden", 403, "Failed to shrink 'g1@golden' worker's pool: ValueError('busy')"},
		{"/api/worker/pool/grow/nope", 404, "Unknown worker 'nope'"},
		{"/api/worker/pool/grow/g1@golden?n=x", 400, "Invalid argument 'x' of type 'int'"},
		{"/api/worker/shutdown/g1@golden", 200, `{"message": "Shutting down!"}`},
		{"/api/task/revoke/abc?terminate=true", 200, `{"message": "Revoked 'abc'"}`},
	} {
		if got := s.do(http.MethodPost, tc.target); got.Code != tc.code || got.Body.String() != tc.body {
			t.Errorf("%s: %d %s", tc.target, got.Code, got.Body)
		}
	}
	if sent := s.control.Sent("shutdown"); len(sent) != 1 || !reflect.DeepEqual(sent[0].Destination, []string{node}) {
		t.Errorf("shutdown %+v", sent)
	}
	want := protocol.Object{{Name: "task_id", Value: "abc"}, {Name: "terminate", Value: true}, {Name: "signal", Value: "SIGTERM"}}
	if sent := s.control.Sent("revoke"); len(sent) != 1 || !reflect.DeepEqual(sent[0].Arguments, want) {
		t.Errorf("revoke %+v", sent)
	}
}
