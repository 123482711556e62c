package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// Environment of the child process that is killed.
const (
	childStore  = "UMBEL_TEST_DAG_STORE"
	childCelery = "UMBEL_TEST_DAG_CELERY"
)

// TestMain lets the test program be the engine that TestSIGKILL kills.
func TestMain(m *testing.M) {
	path := os.Getenv(childStore)
	if path == "" {
		os.Exit(m.Run())
	}
	s, err := store.Open(context.Background(), path)
	if err == nil {
		celery := remoteCelery{url: os.Getenv(childCelery)}
		var e *Engine
		if e, err = New(Config{Store: s, Sender: celery, Backend: celery}); err == nil {
			err = e.Run(context.Background())
		}
	}
	fmt.Fprintln(os.Stderr, "child:", err)
	os.Exit(1)
}

// remoteCelery reaches the fakeCelery of the parent process.
type remoteCelery struct {
	backend.Backend
	url string
}

func (r remoteCelery) Publish(ctx context.Context, sigs ...protocol.Signature) error {
	body, err := protocol.Marshal(sigs)
	if err != nil {
		return err
	}
	res, err := http.Post(r.url+"/publish", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (r remoteCelery) Get(ctx context.Context, id string) (*protocol.Result, error) {
	res, err := http.Get(r.url + "/result?id=" + id)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return protocol.DecodeResult(body)
}

func (r remoteCelery) Watch(ctx context.Context, ids ...string) (backend.Watch, error) {
	w := &remoteWatch{celery: r, ids: make(chan string, 1000)}
	return w, w.Add(ctx, ids...)
}

// remoteWatch asks for one id after the other until each has a result.
type remoteWatch struct {
	celery remoteCelery
	ids    chan string
}

func (w *remoteWatch) Add(_ context.Context, ids ...string) error {
	for _, id := range ids {
		w.ids <- id
	}
	return nil
}

func (w *remoteWatch) Remove(context.Context, ...string) error { return nil }
func (w *remoteWatch) Close() error                            { return nil }

func (w *remoteWatch) Next(ctx context.Context) (*protocol.Result, error) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-pace.C:
		}
		id := <-w.ids
		result, err := w.celery.Get(ctx, id)
		if err != nil || result.Ready() {
			return result, err
		}
		w.ids <- id
	}
}

// serveCelery runs tasks the moment they are published.
func serveCelery(t *testing.T) (*fakeCelery, *httptest.Server) {
	celery := newFakeCelery()
	celery.onPublish = func(sig protocol.Signature) *protocol.Result { return ok(idOf(sig), "1") }
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		var raws []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&raws); err != nil {
			return // the child died while it wrote
		}
		for _, raw := range raws {
			sig, err := protocol.DecodeSignature(raw)
			if err != nil {
				t.Error(err)
				return
			}
			_ = celery.Publish(r.Context(), sig) // never fails here
		}
	})
	mux.HandleFunc("GET /result", func(w http.ResponseWriter, r *http.Request) {
		result, _ := celery.Get(r.Context(), r.URL.Query().Get("id"))
		body, err := result.Encode()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return celery, server
}

// ladder is layers of three nodes, each waiting for the whole layer before.
func ladder(t *testing.T, layers int) *dag.Definition {
	t.Helper()
	b := dag.New("ladder")
	for layer := range layers {
		for i := range 3 {
			var opts []dag.NodeOption
			for j := range 3 {
				if layer > 0 {
					opts = append(opts, dag.After(fmt.Sprintf("n%d_%d", layer-1, j)))
				}
			}
			b.Node(fmt.Sprintf("n%d_%d", layer, i), "t", opts...)
		}
	}
	def, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// TestSIGKILL kills a real process, on a store that syncs every commit, again and
// again until the run is over.
func TestSIGKILL(t *testing.T) {
	celery, server := serveCelery(t)
	path := filepath.Join(t.TempDir(), "dag.db")
	run := createRun(t, path, ladder(t, 60))
	kills := 0
	for ; !run.State.Terminal() && kills < 200; kills++ {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childStore+"="+path, childCelery+"="+server.URL)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(10+kills+rand.IntN(40)) * time.Millisecond) // when it dies is what is random here
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed
		run = readRun(t, path, run.ID)
	}
	t.Logf("killed %d times", kills)
	server.Close() // what a dead child had asked for is over, too
	if run.State != dag.RunSucceeded {
		t.Fatalf("run is %s: %s", run.State, run.Reason)
	}
	for _, n := range run.Nodes {
		if n.Attempt != 1 || celery.published[n.TaskID] == 0 {
			t.Errorf("node %s: attempt %d, published %d times", n.Name, n.Attempt, celery.published[n.TaskID])
		}
	}
	if len(celery.published) != len(run.Nodes) {
		t.Errorf("%d different tasks for %d nodes", len(celery.published), len(run.Nodes))
	}
}

func createRun(t *testing.T, path string, def *dag.Definition) *dag.Run {
	t.Helper()
	s, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := New(Config{Store: s, Sender: remoteCelery{}, Backend: remoteCelery{}})
	if err != nil {
		t.Fatal(err)
	}
	run, err := e.Start(context.Background(), Start{Definition: def})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func readRun(t *testing.T, path string, id int64) *dag.Run {
	t.Helper()
	s, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, err := s.Run(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	history, err := s.History(context.Background(), id, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	ended := map[string]int{}
	for _, e := range history {
		if e.Kind == string(dag.NodeSucceeded) && e.Node != "" {
			if ended[e.Node]++; ended[e.Node] > 1 {
				t.Errorf("node %s ended twice", e.Node)
			}
		}
	}
	return run
}
