package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/static"
	"github.com/umbel-go/umbel/templates"
)

func newRenderer(t *testing.T) *Renderer {
	t.Helper()
	rd, err := NewRenderer(templates.FS, static.FS)
	if err != nil {
		t.Fatal(err)
	}
	return rd
}

func newServer(t *testing.T, c Config, routes ...Route) *Server {
	t.Helper()
	if c.Renderer == nil {
		c.Renderer = newRenderer(t)
	}
	c.Log = slog.New(slog.DiscardHandler)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.Mount(routes, []Nav{{Title: "Tasks", Path: "/tasks", Order: 2}, {Title: "Dashboard", Path: "/", Order: 1}})
	return s
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s at %s below %q", text, r.URL.Path, URL(r, ""))
	})
}

func sampleRoutes() []Route {
	return []Route{
		{Path: "/", Access: Page, Handler: says("dashboard")},
		{Path: "/tasks/datatable", Methods: []string{"GET", "POST"}, Access: Page, Handler: says("table")},
		{Path: "/task/{id:.+}", Access: Page, Handler: says("task")},
		{Path: "/healthcheck", Access: Open, Handler: says("OK")},
		{Path: "/api/workers", Access: API, Handler: says("workers")},
		{Path: "/api/task/apply/{name:.+}", Methods: []string{"POST"}, Access: Action, Handler: says("applied")},
		{Path: "/xingqiao/create_job", Methods: []string{"GET", "POST"}, Access: CompatAction, Handler: says("created")},
	}
}

func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func at(r *http.Request, path string) *http.Request {
	u, err := r.URL.Parse(path)
	if err != nil {
		panic(err)
	}
	r.URL, r.RequestURI = u, path
	return r
}

// A stranger without a password gets nothing but what the access table opens,
// at whatever spelling of whatever route.
func TestEveryRouteIsGuarded(t *testing.T) {
	hub := NewHub()
	defer hub.Close()
	s := newServer(t, Config{BasicAuth: []string{"ada:secret"}, Hub: hub}, sampleRoutes()...)
	h := s.Handler()
	routes := s.Routes()
	if len(routes) < 10 {
		t.Fatalf("only %d routes", len(routes))
	}
	for _, route := range routes {
		path := strings.NewReplacer("{id:.+}", "x", "{name:.+}", "x", "{file:.+}", "app.css").Replace(route.Path)
		for _, spelling := range []string{path, strings.TrimSuffix(path, "/") + "/", "/flower" + path} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} {
				w := ask(h, at(request(method, "peer", "192.0.2.7:1", "host", "monitor"), spelling))
				if route.Access == Open {
					if w.Code == http.StatusUnauthorized {
						t.Errorf("%s %s: closed", method, spelling)
					}
				} else if w.Code != http.StatusUnauthorized {
					t.Errorf("%s %s answers %d to a stranger", method, spelling, w.Code)
				}
			}
		}
	}
	for _, path := range []string{"//api/workers", "/%2e/api/workers", "/./api/workers", "/x/../api/workers", "/api//workers"} {
		if w := ask(h, at(request("GET"), path)); w.Code == http.StatusOK {
			t.Errorf("%s answers 200", path)
		}
	}
}

func TestServerAnswers(t *testing.T) {
	tests := []struct {
		name, prefix string
		r            *http.Request
		path         string
		status       int
		body         string
	}{
		{"page", "", request("GET"), "/", 200, `dashboard at / below ""`},
		{"trailing slash", "", request("GET"), "/tasks/datatable/", 200, "table at /tasks/datatable "},
		{"task name with slashes", "", request("POST"), "/api/task/apply//demo_api/ping", 200, "applied at /api/task/apply//demo_api/ping"},
		{"escaped slash in an id", "", request("GET"), "/task/a%2Fb", 200, "task at /task/a/b"},
		{"Flower's prefix without one configured", "", request("GET"), "/flower/tasks/datatable", 200, `below "/flower"`},
		{"Flower's root", "", request("GET"), "/flower/", 200, "dashboard at / "},
		{"Flower's prefix redirects", "", request("GET"), "/flower", 308, ""},
		{"prefix", "/a/b/", request("GET"), "/a/b/healthcheck", 200, `below "/a/b"`},
		{"prefix redirects", "/a/b/", request("GET"), "/a/b", 308, ""},
		{"outside the prefix", "a", request("GET"), "/healthcheck", 404, ""},
		{"prefix is whole segments", "a", request("GET"), "/ab", 404, ""},
		{"HEAD", "", request("HEAD"), "/healthcheck", 200, ""},
		{"OPTIONS", "", request("OPTIONS"), "/healthcheck", 204, ""},
		{"OPTIONS of a closed API", "", request("OPTIONS", "peer", "192.0.2.7:1"), "/api/workers", 401, unauthenticatedAPIText},
		{"wrong method", "", request("DELETE"), "/healthcheck", 405, ""},
		{"nothing there", "", request("GET", "Accept", "text/html"), "/nope", 404, "<h1>Not Found</h1>"},
		{"nothing there for programs", "", request("GET"), "/api/nope", 404, `{"error":"There is nothing at this address."}`},
		{"cross-site write to nothing", "", request("POST", "Sec-Fetch-Site", "cross-site"), "/api/nope", 403, crossSiteText},
		{"cross-site action", "", request("POST", "Origin", "http://evil"), "/api/task/apply/x", 403, crossOriginText},
		{"closed API", "", request("GET", "peer", "192.0.2.7:1"), "/api/workers", 401, unauthenticatedAPIText},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, Config{Prefix: test.prefix}, sampleRoutes()...)
			w := ask(s.Handler(), at(test.r, test.path))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) {
				t.Errorf("got %d %q, want %d with %q", w.Code, w.Body, test.status, test.body)
			}
			for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
				if w.Header().Get(name) == "" {
					t.Errorf("no %s", name)
				}
			}
			if w.Code == 405 && w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("Allow: %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestPasswordPromptIsForPagesOnly(t *testing.T) {
	h := newServer(t, Config{BasicAuth: []string{"ada:secret"}}, sampleRoutes()...).Handler()
	page, api := ask(h, at(request("GET"), "/")), ask(h, at(request("GET"), "/api/workers"))
	if got := page.Header().Get("WWW-Authenticate"); got != `Basic realm="flower"` || page.Body.String() != "Access denied" {
		t.Errorf("page: %q %q", got, page.Body)
	}
	if got := api.Header().Get("WWW-Authenticate"); got != "" || api.Body.Len() != 0 {
		t.Errorf("api: %q %q", got, api.Body)
	}
}

func TestPanicBecomesAClear500(t *testing.T) {
	bad := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	s := newServer(t, Config{}, Route{Path: "/bad", Access: Page, Handler: bad}, Route{Path: "/api/bad", Access: API, Handler: bad})
	if w := ask(s.Handler(), at(request("GET", "Accept", "text/html"), "/bad")); w.Code != 500 || !strings.Contains(w.Body.String(), "Internal Server Error") {
		t.Errorf("page: %d %q", w.Code, w.Body)
	}
	if w := ask(s.Handler(), at(request("GET"), "/api/bad")); w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"error":`) {
		t.Errorf("api: %d %q", w.Code, w.Body)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		var tooBig *http.MaxBytesError
		fmt.Fprint(w, errors.As(err, &tooBig))
	})
	s := newServer(t, Config{MaxBody: 4}, Route{Path: "/api/x", Methods: []string{"POST"}, Access: Action, Handler: read})
	for body, want := range map[string]string{"1234": "false", "12345": "true"} {
		r := at(request("POST"), "/api/x")
		r.Body = io.NopCloser(strings.NewReader(body))
		if w := ask(s.Handler(), r); w.Body.String() != want {
			t.Errorf("%d bytes: %s", len(body), w.Body)
		}
	}
}

func TestTextIsCompressed(t *testing.T) {
	long := strings.Repeat("umbel ", 1000)
	write := func(contentType, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for chunk := range strings.SplitAfterSeq(text, " ") {
				fmt.Fprint(w, chunk)
			}
		})
	}
	s := newServer(t, Config{},
		Route{Path: "/long", Access: Open, Handler: write("text/plain", long)},
		Route{Path: "/short", Access: Open, Handler: write("text/plain", "umbel ")},
		Route{Path: "/image", Access: Open, Handler: write("image/png", long)})
	for path, want := range map[string]bool{"/long": true, "/short": false, "/image": false} {
		for accept, may := range map[string]bool{"gzip, br": true, "gzip;q=0": false, "": false} {
			w := ask(s.Handler(), at(request("GET", "Accept-Encoding", accept), path))
			zipped := w.Header().Get("Content-Encoding") == "gzip"
			if zipped != (want && may) {
				t.Errorf("%s for %q: gzip %v", path, accept, zipped)
			}
			var body io.Reader = w.Body
			if zipped {
				var err error
				if body, err = gzip.NewReader(w.Body); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(body)
			if err != nil || (path != "/short" && string(got) != long) {
				t.Errorf("%s: %d bytes, %v", path, len(got), err)
			}
		}
	}
}

func TestStartNamesAPortInUse(t *testing.T) {
	first := newServer(t, Config{Addr: "127.0.0.1:0"})
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer stop(t, first)
	addr := first.Addr().String()
	err := newServer(t, Config{Addr: addr}).Start(t.Context())
	_, port, _ := strings.Cut(addr, ":")
	if err == nil || !strings.Contains(err.Error(), "port "+port+" is already in use") || !strings.Contains(err.Error(), "--port") {
		t.Errorf("got %v", err)
	}
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	start := time.Now()
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stop took %v", took)
	}
}

func TestStopEndsLiveStreams(t *testing.T) {
	hub := NewHub()
	s := newServer(t, Config{Addr: "127.0.0.1:0", Hub: hub})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + s.Addr().String() + "/stream?topics=tasks")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != ": connected" {
	}
	hub.Publish(Update{Topic: "workers"}, Update{Topic: "tasks", Data: []byte(`{"n":1}`)})
	var got []string
	for lines.Scan() {
		got = append(got, lines.Text())
		if strings.HasPrefix(lines.Text(), "data:") {
			break
		}
	}
	if want := "|event: tasks|data: {\"n\":1}"; strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
	stop(t, s)
	for lines.Scan() { // ends, because the stream does
	}
	<-s.Done()
}
