package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// control sends commands through a client.
type control struct{ *client.Client }

func (c control) Inspect(ctx context.Context, method string, args protocol.Object, destination []string, timeout time.Duration) (map[string]protocol.Raw, error) {
	return c.Client.Inspect(ctx, method, args, client.ControlOptions{Destination: destination, Timeout: timeout, Limit: len(destination)})
}

// TestBesideFlower lets Flower 2.2 and our monitor watch the same Celery 5.7
// worker, and compares what they answer.
func TestBesideFlower(t *testing.T) {
	url := testenv.Redis(t)
	celery := testenv.Celery{
		Venv: "celery57", App: "testdata/besideapp.py", Broker: url, Backend: url,
		Args: []string{"-c", "1", "-n", "beside@test"}, Env: []string{"FLOWER_UNAUTHENTICATED_API=true"},
	}
	flower := startFlower(t, celery)
	ours, sender := startOurs(t, url)
	testenv.StartCelery(t, celery)

	for _, sig := range []protocol.Signature{
		client.Task("beside.add", 1, 2.5), client.Task("beside.fail", "no 'quotes' </b>"),
		client.Task("beside.again"), client.Task("beside.parent"), client.Task("beside.unknown"),
	} {
		if _, err := sender.Send(t.Context(), sig); err != nil {
			t.Fatal(err)
		}
	}
	both := func(path string) (theirs, mine string) { return fetch(t, flower+path), fetch(t, ours+path) }
	eventually(t, "the same tasks", func() error {
		theirs, mine := both("/api/tasks")
		if n := strings.Count(theirs, `"SUCCESS"`); n != 4 || !strings.Contains(theirs, `"FAILURE"`) {
			return fmt.Errorf("Flower knows of %d successes", n)
		}
		if theirs != mine {
			return fmt.Errorf("Flower: %s\nours:   %s", theirs, mine)
		}
		return nil
	})
	for _, path := range []string{
		"/api/tasks?state=success&sort_by=-received&limit=2&offset=1", "/api/tasks?sort_by=name", "/api/tasks?search=quotes",
		"/api/tasks?search=name:beside.add+OR+state:FAILURE", "/api/tasks?search=%28abc", "/api/tasks?limit=zz", "/api/task/types",
		"/api/task/info/none", "/api/workers?status=1", "/api/queues/length", "/api/workers?workername=none",
	} {
		if theirs, mine := both(path); theirs != mine {
			t.Errorf("%s\nFlower: %s\nours:   %s", path, theirs, mine)
		}
	}
	eventually(t, "the same inspect answers", func() error {
		theirs, mine := both("/api/workers?refresh=1&workername=beside@test")
		return sameWorker(decode(t, []byte(theirs)), decode(t, []byte(mine)))
	})
}

// sameWorker compares the inspect answers, but for what changes from one answer
// to the next.
func sameWorker(theirs, ours protocol.Object) error {
	if len(theirs) != 1 || len(ours) != 1 {
		return fmt.Errorf("Flower has %d workers, we have %d", len(theirs), len(ours))
	}
	for _, f := range theirs[0].Value.(protocol.Object) {
		if f.Name == "timestamp" {
			continue
		}
		v, _ := ours[0].Value.(protocol.Object).Get(f.Name)
		a, b := f.Value, v
		if f.Name == "stats" {
			a, b = steady(a), steady(b)
		}
		if !reflect.DeepEqual(a, b) {
			return fmt.Errorf("%s: Flower has %v, we have %v", f.Name, a, b)
		}
	}
	return nil
}

func steady(stats any) any {
	return stats.(protocol.Object).Without("clock", "uptime", "rusage")
}

func startFlower(t *testing.T, c testenv.Celery) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	p := testenv.Start(t, c.Command(t, "flower", "--address=127.0.0.1", "--port="+port))
	p.WaitLine("Connected to", time.Minute)
	return "http://" + address
}

func startOurs(t *testing.T, url string) (base string, sender *client.Client) {
	t.Helper()
	b, err := dial.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	sender = client.New(client.Config{Broker: b})
	m, err := monitor.New(monitor.Config{Sources: []monitor.Source{{Broker: b, Control: control{sender}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Stop() })
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	for _, r := range Routes(m) {
		router.Handle(r.Path, r.Handler)
	}
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	eventually(t, "a connection", func() error {
		if s := m.Brokers()[0]; !s.Connected {
			return fmt.Errorf("not connected: %s", s.Error)
		}
		return nil
	})
	return server.URL, sender
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 20 s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
