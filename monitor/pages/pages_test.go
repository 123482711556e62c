package pages

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/monitor/store"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/static"
	"github.com/umbel-go/umbel/templates"
)

var _ Source = (*monitor.Monitor)(nil)

// fleet is a Source that holds what a test puts in.
type fleet struct {
	brokers   []monitor.BrokerStatus
	stats     monitor.Stats
	queues    []monitor.Queue
	workers   []monitor.Worker
	tasks     []monitor.Task
	counts    map[string]int
	asked     []monitor.Query
	refreshed []string
	err       error
}

func (f *fleet) Brokers() []monitor.BrokerStatus { return f.brokers }
func (f *fleet) Stats(context.Context, string) (monitor.Stats, error) {
	return f.stats, f.err
}
func (f *fleet) StateCounts(string) map[string]int { return f.counts }
func (f *fleet) Queues(context.Context, string) ([]monitor.Queue, error) {
	return f.queues, f.err
}
func (f *fleet) Workers(context.Context, string, bool) ([]monitor.Worker, error) {
	return f.workers, f.err
}
func (f *fleet) Worker(_ context.Context, _, name string) (monitor.Worker, bool, error) {
	for _, w := range f.workers {
		if w.Hostname == name {
			return w, true, f.err
		}
	}
	return monitor.Worker{}, false, f.err
}
func (f *fleet) Refresh(_ context.Context, _, name string) error {
	f.refreshed = append(f.refreshed, name)
	return nil
}
func (f *fleet) Tasks(_ context.Context, q monitor.Query) (monitor.TaskPage, error) {
	f.asked = append(f.asked, q)
	n := len(f.tasks)
	from, to := min(q.Offset, n), min(q.Offset+q.Limit, n)
	return monitor.TaskPage{Tasks: f.tasks[from:to], Total: n}, f.err
}
func (f *fleet) Task(_ context.Context, _, id string) (monitor.Task, bool, error) {
	for _, t := range f.tasks {
		if t.UUID == id {
			return t, true, f.err
		}
	}
	return monitor.Task{}, false, f.err
}

const (
	taskID  = "2a010af8-1c4e-4a55-9d7e-000000000001"
	hostile = `<script>alert("x")</script>`
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func said(s string) state.Text { return state.Text{Valid: true, String: s} }

// oneOfEach is a fleet with one of everything.
func oneOfEach() *fleet {
	at := float64(now.Unix())
	runtime, retries := 0.25, int64(2)
	worker := monitor.Worker{
		Worker:   state.Worker{Hostname: "celery@meadow", PID: 42, Active: "1", Loadavg: protocol.Raw(`[0.5, 0.25, 1]`), SwIdent: "py-celery", SwVer: "5.7.0", Seen: at - 2},
		Counters: []monitor.Counter{{Type: "task-received", N: 1234}, {Type: "task-failed", N: 3}},
		Alive:    true, Online: true, Known: true,
		Inspect: monitor.Inspect{At: now, Answers: map[string]protocol.Raw{
			"stats":         protocol.Raw(`{"total":{"demo.add":7},"uptime":60,"pool":{"max-concurrency":4,"implementation":"prefork"},"prefetch_count":16}`),
			"active_queues": protocol.Raw(`[{"name":"celery","exchange":{"name":"celery"},"routing_key":"celery","durable":true}]`),
			"registered":    protocol.Raw(`["demo.add","` + "<b>evil</b>" + `"]`),
			"active":        protocol.Raw(`[{"id":"` + taskID + `","name":"demo.sleep","args":"(12,)","kwargs":"{}","time_start":1795262398.5,"worker_pid":77}]`),
			"reserved":      protocol.Raw(`[{"id":"r1","name":"demo.mul","args":[1,2],"kwargs":{}}]`),
			"scheduled":     protocol.Raw(`[{"eta":"2026-11-21T13:00:00","priority":6,"request":{"id":"s1","name":"demo.later"}}]`),
			"conf":          protocol.Raw(`{"task_acks_late":true,"nothing":null}`),
		}},
	}
	stale, gone := worker, worker
	stale.Hostname, stale.Alive, stale.Active = "celery@hedge", false, "-1"
	gone.Hostname, gone.Alive, gone.Online = "celery@barn", false, false
	return &fleet{
		brokers: []monitor.BrokerStatus{{Name: "main", Transport: "redis", URL: "redis://127.0.0.1:16379/0", Connected: true, Since: now}},
		stats:   monitor.Stats{Active: 1, Received: 2, Failed: 3, Succeeded: 1200, Retried: 4},
		queues:  []monitor.Queue{{Name: "celery", Messages: 9, Ready: 7, Unacked: 2, OldestAge: 90 * time.Second}},
		workers: []monitor.Worker{worker, stale, gone},
		tasks: []monitor.Task{
			{Task: &state.Task{UUID: taskID, Name: "demo.add", State: state.Success, Sent: at - 3, Received: at - 2, Started: at - 1, Succeeded: at,
				Args: said("(2, 3)"), Kwargs: said("{}"), Result: said("5"), Runtime: &runtime, Retries: &retries, Worker: "celery@meadow", RootID: taskID, ParentID: "p1"}, Children: []string{"c1"}},
			{Task: &state.Task{UUID: hostile, Name: hostile, State: hostile, Args: said(hostile), Kwargs: said(hostile), Exception: said(hostile),
				Traceback: said(hostile), Worker: hostile, Exchange: hostile, RoutingKey: hostile, ETA: said(hostile), Expires: said(hostile), Client: hostile}},
		},
		counts: map[string]int{state.Success: 1200, state.Failure: 3, "MY-STEP": 1},
	}
}

// serve answers an operator's request to the pages over a source.
func serve(t *testing.T, src Source, path string, change ...func(*Config)) *httptest.ResponseRecorder {
	t.Helper()
	return serveTo(t, "127.0.0.1:1", src, path, change...)
}

func serveTo(t *testing.T, peer string, src Source, path string, change ...func(*Config)) *httptest.ResponseRecorder {
	t.Helper()
	rd, err := web.NewRenderer(templates.FS, static.FS)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Source: src, Renderer: rd, Now: func() time.Time { return now }}
	for _, f := range change {
		f(&c)
	}
	routes, err := Routes(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := web.New(web.Config{Renderer: rd, Hub: web.NewHub()})
	if err != nil {
		t.Fatal(err)
	}
	s.Mount(routes, Nav())
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr, r.Host = peer, "localhost"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// plain is the page as a reader sees it: no tags, single blanks.
func plain(page string) string {
	text := regexp.MustCompile(`(?s)<svg class="(sprite|logo|bloom|icon)".*?</svg>|<title>.*?</title>|<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(html.UnescapeString(text)), " ")
}

func TestPagesShowWhatIsKnown(t *testing.T) {
	tests := []struct {
		path, title string
		shows       []string // of the text
		holds       []string // of the HTML
	}{
		{"/", "Dashboard", []string{"1 Active", "1,210 Processed", "1,200 Succeeded", "3 Failed", "7 Queued", "1m 30s Oldest wait",
			"celery@meadow Online 1 / 4 1,234 3", "celery@hedge Stale –", "celery@barn Offline –", "celery 7 2 nobody", "1 online 1 stale 1 offline"},
			[]string{`href="/tasks?state=FAILURE"`, `id="workers-table"`, `aria-current="page">Dashboard`, `data-live="workers tasks queues"`}},
		{"/dashboard/", "Dashboard", []string{"1,210 Processed"}, nil},
		{"/flower/workers", "Workers", []string{"All 3", "Online 1", "Stale 1", "Offline 1", "Total"}, []string{`href="/flower/worker/celery@meadow"`}},
		{"/workers?status=stale", "Workers", []string{"celery@hedge Stale"}, nil},
		{"/worker/celery@meadow", "celery@meadow", []string{"Online Status", "max-concurrency 4", "Prefetch count 16", "demo.sleep", "(12,)", "demo.mul r1 [1, 2] {}",
			"demo.later s1 2026-11-21T13:00:00", "celery celery celery yes", "demo.add 7", "task_acks_late true", "1 active, 1 reserved, 1 scheduled, 0 revoked"}, nil},
		{"/tasks", "Tasks", []string{"All 1,204", "SUCCESS 1,200", "MY-STEP 1", "Name UUID State args kwargs Result Received Started Runtime Worker",
			"demo.add 2a010af8 SUCCESS (2, 3) {} 5 2026-11-21 11:59:58 UTC 2026-11-21 11:59:59 UTC 250.00 ms celery@meadow"},
			[]string{`<tr data-key="` + taskID + `">`, `datetime="2026-11-21T11:59:58.000000Z"`, `<th scope="col"><a href="?sort=-name">Name</a></th>`}},
		{"/task/" + taskID, "demo.add 2a010af8", []string{"ran for 250.00 ms", "In the queue 1.00 s", "In the worker’s hands 1.00 s", "Running 1.00 s",
			"args (2, 3)", "Result 5", "Retries 2", "Worker celery@meadow"}, []string{`href="/task/p1"`, `href="/task/c1"`, `data-copy="uuid"`}},
		{"/broker", "Broker", []string{"redis://127.0.0.1:16379/0 Connected", "Name main", "celery 9 2 7 nobody – 1m 30s –"}, nil},
		{"/broker?lang=zh", "消息中间件", []string{"已连接", "无人消费"}, []string{`<html lang="zh-CN">`}},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			w := serve(t, oneOfEach(), test.path)
			page := w.Body.String()
			if w.Code != http.StatusOK || !strings.Contains(page, "<title>"+test.title+" · Umbel</title>") {
				t.Fatalf("%d %.300s", w.Code, page)
			}
			for _, want := range test.shows {
				if !strings.Contains(plain(page), want) {
					t.Errorf("the text lacks %q: %s", want, plain(page))
				}
			}
			for _, want := range test.holds {
				if !strings.Contains(page, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
		})
	}
}

func TestHostileStringsAreInert(t *testing.T) {
	f := oneOfEach()
	f.workers = append(f.workers, monitor.Worker{Worker: state.Worker{Hostname: hostile, SwIdent: hostile}, Online: true})
	f.queues = append(f.queues, monitor.Queue{Name: hostile, Workers: []string{hostile}})
	f.brokers[0] = monitor.BrokerStatus{Name: hostile, URL: hostile, Error: hostile}
	f.counts[hostile] = 1
	escaped := "%3Cscript%3Ealert(%22x%22)%3C%2Fscript%3E"
	all := func(c *Config) { c.TasksColumns = "all" }
	for _, path := range []string{"/", "/workers", "/worker/" + escaped, "/worker/celery@meadow", "/tasks?q=" + escaped + "&name=" + escaped + "&state=" + escaped + "&sort=" + escaped,
		"/task/" + escaped, "/task/" + escaped + "x", "/broker", "/workers?name=" + escaped + "&status=" + escaped} {
		w := serve(t, f, path, all)
		page := w.Body.String()
		if w.Code >= 500 || !strings.Contains(page, "alert") {
			t.Errorf("%s: %d, not shown at all", path, w.Code)
		}
		for _, bad := range []string{"<script>alert", "<b>evil", `"x"</script`} {
			if i := strings.Index(page, bad); i >= 0 {
				t.Errorf("%s: %q in %q", path, bad, page[max(0, i-80):i+40])
			}
		}
	}
}

func TestUnknownThingsAre404(t *testing.T) {
	for path, text := range map[string]string{"/task/nope": "Unknown task 'nope'", "/worker/nope": "Unknown worker 'nope'"} {
		if w := serve(t, oneOfEach(), path); w.Code != 404 || !strings.Contains(plain(w.Body.String()), text) {
			t.Errorf("%s: %d %s", path, w.Code, plain(w.Body.String()))
		}
	}
}

func TestEmptyPagesTeach(t *testing.T) {
	f := &fleet{brokers: []monitor.BrokerStatus{{URL: "amqp://guest@rabbit:5672//", Transport: "amqp", Connected: true}}}
	for path, want := range map[string]string{
		"/":        `app = Celery(broker="amqp://guest@rabbit:5672//", backend="rpc://")`,
		"/tasks":   `send_task("demo.add", (2, 3))`,
		"/workers": "celery -A proj --broker amqp://guest@rabbit:5672// worker -E",
	} {
		if w := serve(t, f, path); w.Code != 200 || !strings.Contains(plain(w.Body.String()), want) {
			t.Errorf("%s: %d %s", path, w.Code, plain(w.Body.String()))
		}
	}
	own := func(c *Config) { c.BrokerURL = "redis://:pw@real" }
	if w := serve(t, f, "/tasks", own); !strings.Contains(plain(w.Body.String()), "redis://:pw@real") {
		t.Error("the broker's address of the configuration is not shown")
	}
	for _, path := range []string{"/", "/tasks", "/workers"} {
		page := plain(serveTo(t, "192.0.2.7:1", f, path, own).Body.String())
		if strings.Contains(page, "pw@") || !strings.Contains(page, "Read only from here.") {
			t.Errorf("%s to a stranger: %s", path, page)
		}
	}
}

func TestBrokenSourcesAreTold(t *testing.T) {
	f := oneOfEach()
	f.brokers[0].Connected, f.brokers[0].Error = false, "connection refused"
	for _, path := range []string{"/", "/workers", "/tasks", "/broker", "/task/" + taskID} {
		w := serve(t, f, path)
		if text := plain(w.Body.String()); w.Code != 200 || !strings.Contains(text, "The broker cannot be reached.") || !strings.Contains(text, "connection refused") {
			t.Errorf("%s: %d %s", path, w.Code, text)
		}
	}
	f.err = errors.New("disk full")
	for path, status := range map[string]int{"/": 200, "/workers": 200, "/tasks": 200, "/broker": 200, "/task/x": 500, "/worker/x": 500} {
		if w := serve(t, f, path); w.Code != status || !strings.Contains(plain(w.Body.String()), "disk full") {
			t.Errorf("%s: %d %s", path, w.Code, plain(w.Body.String()))
		}
	}
	f.err = fmt.Errorf("%w: Empty group at position 3.", store.ErrBadQuery)
	if w := serve(t, f, "/tasks?q=()"); w.Code != 400 || !strings.Contains(plain(w.Body.String()), "Empty group at position 3.") {
		t.Errorf("bad search: %d %s", w.Code, plain(w.Body.String()))
	}
}

func TestJSONIsHandedOver(t *testing.T) {
	give := func(c *Config) {
		c.WorkersJSON = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data": []}`) })
	}
	for _, path := range []string{"/?json=1", "/dashboard?json=true", "/workers?json=1&refresh=1"} {
		if w := serve(t, oneOfEach(), path, give); w.Body.String() != `{"data": []}` {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	if w := serve(t, oneOfEach(), "/workers?json=0", give); !strings.Contains(w.Body.String(), "<html") {
		t.Error("json=0 is a page")
	}
}

func TestTasksAreAskedFor(t *testing.T) {
	tests := map[string]monitor.Query{
		"/tasks":                               {Limit: 51},
		"/tasks?state=FAILURE&worker=w&name=n": {State: "FAILURE", Worker: "w", Name: "n", Limit: 51},
		"/tasks?q=+x+&limit=10&page=3":         {Search: "x", Limit: 11, Offset: 20},
		"/tasks?limit=-1&page=0":               {Limit: 2},
		"/tasks?limit=1e9&page=x":              {Limit: 51},
		"/tasks?limit=99999":                   {Limit: 501},
		"/tasks?sort=-received":                {SortBy: "-received", Limit: 51},
		"/tasks?sort=1;drop+table":             {Limit: 51},
		"/tasks?broker=second":                 {Broker: "second", Limit: 51},
	}
	for path, want := range tests {
		f := oneOfEach()
		serve(t, f, path)
		if len(f.asked) != 1 || f.asked[0] != want {
			t.Errorf("%s: asked %+v", path, f.asked)
		}
	}
}

func TestPaging(t *testing.T) {
	f := oneOfEach()
	for i := range 5 {
		f.tasks = append(f.tasks, monitor.Task{Task: &state.Task{UUID: fmt.Sprint("t", i), State: state.Success}})
	}
	for page, want := range map[string][2]string{
		"1": {"", "?limit=3&amp;page=2"}, "2": {"?limit=3", "?limit=3&amp;page=3"}, "3": {"?limit=3&amp;page=2", ""},
	} {
		html := serve(t, f, "/tasks?limit=3&page="+page).Body.String()
		for i, rel := range []string{"prev", "next"} {
			if has := strings.Contains(html, `rel="`+rel+`" href="`+want[i]+`"`); has != (want[i] != "") {
				t.Errorf("page %s, %s: %v", page, rel, has)
			}
		}
	}
}

func TestAnIDGoesStraightToItsTask(t *testing.T) {
	w := serve(t, oneOfEach(), "/flower/tasks?q=+"+taskID+"+")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/flower/task/"+taskID {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
	if w := serve(t, oneOfEach(), "/tasks?q=00000000-0000-0000-0000-000000000000"); w.Code != 200 {
		t.Errorf("unknown id: %d", w.Code)
	}
}

func TestWorkersAreAskedWhenNothingIsKnown(t *testing.T) {
	f := oneOfEach()
	serve(t, f, "/worker/celery@meadow")
	if len(f.refreshed) != 0 {
		t.Error("asked although the answers are there")
	}
	serve(t, f, "/worker/celery@meadow?refresh=1")
	f.workers[1].Inspect = monitor.Inspect{}
	w := serve(t, f, "/worker/celery@hedge")
	if got := strings.Join(f.refreshed, " "); got != "celery@meadow celery@hedge" {
		t.Errorf("asked %q", got)
	}
	if !strings.Contains(plain(w.Body.String()), "This worker has not answered inspect.") {
		t.Error("silence is not told")
	}
}

func TestColumns(t *testing.T) {
	if got, err := parseColumns("uuid, name,uuid"); err != nil || strings.Join(got, " ") != "uuid name" {
		t.Errorf("%v %v", got, err)
	}
	if got, err := parseColumns("all"); err != nil || len(got) != 17 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := parseColumns("name,nope"); err == nil || !strings.Contains(err.Error(), `"nope"`) {
		t.Errorf("%v", err)
	}
}

// A page with its styles and scripts stays within 60 KB compressed.
func TestPagesAreLight(t *testing.T) {
	f := oneOfEach()
	for i := range 60 {
		task := *f.tasks[0].Task
		task.UUID = fmt.Sprintf("%08x-1c4e-4a55-9d7e-%012x", uint32(i+1)*2654435761, i)
		f.tasks = append(f.tasks, monitor.Task{Task: &task})
	}
	assets := 0
	for _, pattern := range []string{"*.css", "*.js", "*.svg"} {
		names, err := fs.Glob(static.FS, pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(static.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			assets += squeezed(t, data)
		}
	}
	for _, path := range []string{"/", "/workers", "/worker/celery@meadow", "/tasks", "/task/" + taskID, "/broker"} {
		page := serve(t, f, path).Body.Bytes()
		if total := assets + squeezed(t, page); total > 60<<10 {
			t.Errorf("%s takes %d bytes", path, total)
		}
		if nodes := bytes.Count(page, []byte("<")) / 2; nodes > 1500 {
			t.Errorf("%s has about %d elements", path, nodes)
		}
	}
}

func squeezed(t *testing.T, data []byte) int {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Len()
}
