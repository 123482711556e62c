package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/monitor/search"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

func openStore(t testing.TB, cfg Config) (s *Store, broker int64) {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = sqlitex.Memory
	}
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	broker, err = s.Broker(context.Background(), "redis://one")
	if err != nil {
		t.Fatal(err)
	}
	return s, broker
}

func commit(t testing.TB, s *Store, broker int64, tasks ...*state.Task) {
	t.Helper()
	b := &Batch{}
	for _, task := range tasks {
		b.Tasks = append(b.Tasks, TaskWrite{Broker: broker, Task: task})
	}
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func uuidOf(n int) string { return fmt.Sprintf("2af0a66c-0000-4000-8000-%012d", n) }

// sample are four tasks with everything a query looks at.
func sample() []*state.Task {
	one, half := int64(1), 0.5
	return []*state.Task{
		{UUID: uuidOf(1), Name: "shop.Add", State: state.Success, Worker: "w1@h", Received: 10, Started: 11, Succeeded: 12, Timestamp: 12,
			Args: state.TextOf("(1, 'two words')"), Kwargs: state.TextOf("{'user': 7}"), Result: state.TextOf("3"), Runtime: &half, Retries: &one,
			RootID: uuidOf(1), Exchange: "", RoutingKey: "celery", Queue: "celery", Clock: 9, Client: "gen@h"},
		{UUID: uuidOf(2), Name: "shop.add", State: state.Failure, Worker: "w2@h", Received: 20, Timestamp: 22, Failed: 22,
			Exception: state.TextOf("ValueError('x')"), Traceback: state.TextOf("Traceback"), ParentID: uuidOf(1), RootID: uuidOf(1)},
		{UUID: "own-id", Name: "mail.send", State: state.Started, Worker: "w1@h", Received: 30, Started: 31, Timestamp: 31,
			Args: state.TextOf([]any{"list", true}), ETA: state.TextOf("2026-11-20T17:41:11+00:00")},
		{UUID: uuidOf(4), State: state.Pending, Sent: 40, Timestamp: 40},
	}
}

func ids(t *testing.T, s *Store, broker int64, q Query) string {
	t.Helper()
	var out []string
	_, err := s.Each(context.Background(), broker, q, func(task *state.Task) error {
		out = append(out, task.UUID[max(0, len(task.UUID)-2):])
		return nil
	})
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return strings.Join(out, " ")
}

func TestTasksComeBackAsTheyWere(t *testing.T) {
	s, broker := openStore(t, Config{})
	commit(t, s, broker, sample()...)
	for _, want := range sample() {
		got, err := s.Load(context.Background(), broker, []string{"missing", want.UUID})
		if err != nil || len(got) != 1 {
			t.Fatalf("load %s: %d tasks, %v", want.UUID, len(got), err)
		}
		if !reflect.DeepEqual(got[0], want) {
			t.Errorf("got  %+v\nwant %+v", got[0], want)
		}
	}
	children, err := s.Children(context.Background(), broker, []string{uuidOf(1), uuidOf(2)})
	if err != nil || !reflect.DeepEqual(children, map[string][]string{uuidOf(1): {uuidOf(2)}}) {
		t.Errorf("children %v, %v", children, err)
	}
}

func TestQuery(t *testing.T) {
	s, broker := openStore(t, Config{})
	commit(t, s, broker, sample()...)
	other, err := s.Broker(context.Background(), "redis://two")
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, other, sample()[0])
	for _, tc := range []struct {
		q     Query
		want  string
		total int
	}{
		{Query{}, "04 id 02 01", 4},
		{Query{Limit: 2}, "04 id", 4},
		{Query{Limit: 2, Offset: 3}, "01", 4},
		{Query{Offset: 9}, "", 4},
		{Query{State: "success"}, "01", 1},
		{Query{Worker: "W1@h"}, "id 01", 2},
		{Query{Name: "shop.ADD"}, "02 01", 2},
		{Query{Name: "shop.add", State: "FAILURE"}, "02", 1},
		{Query{ReceivedFrom: 20}, "04 id 02", 3},
		{Query{ReceivedTo: 20}, "04 02 01", 3},
		{Query{StartedFrom: 20, StartedTo: 40}, "04 id 02", 3},
		{Query{SortBy: "received"}, "04 01 02 id", 4},
		{Query{SortBy: "-received"}, "id 02 01 04", 4},
		{Query{SortBy: "name"}, "04 id 01 02", 4},
		{Query{SortBy: "-state"}, "01 id 04 02", 4},
		{Query{SortBy: "-uuid", Limit: 1}, "04", 4},
		{Query{Search: "two words"}, "01", -1},
		{Query{Search: "2AF0a66c-0000"}, "04 02 01", -1},
		{Query{Search: "own-id"}, "id", -1},
		{Query{Search: "shop OR mail", Limit: 1, Offset: 1}, "02", -1},
		{Query{Search: "shop", SortBy: "received"}, "01 02", -1},
		{Query{Search: "state:failure"}, "02", -1},
		{Query{Search: "kwargs:user=7"}, "01", -1},
		{Query{Search: "kwargs:user=8"}, "", -1},
		{Query{Search: "per%cent"}, "", -1},
		{Query{Search: "worker:w1@ list"}, "id", -1},
	} {
		if got := ids(t, s, broker, tc.q); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.q, got, tc.want)
		}
		if total, err := s.Count(context.Background(), broker, tc.q); err != nil || total != tc.total {
			t.Errorf("%+v: total %d, %v, want %d", tc.q, total, err, tc.total)
		}
	}
}

func TestBadQueries(t *testing.T) {
	s, broker := openStore(t, Config{})
	for _, q := range []Query{{SortBy: "nonsense"}, {SortBy: "id; DROP"}, {Search: `"open`}} {
		if _, err := s.Each(context.Background(), broker, q, nil); !errors.Is(err, ErrBadQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	_, err := s.Count(context.Background(), broker, Query{Search: "(abc"})
	if syntax := (*search.SyntaxError)(nil); !errors.As(err, &syntax) {
		t.Errorf("err = %v", err)
	}
}

// counted compares the kept totals with the table.
func counted(t testing.TB, s *Store, broker int64) {
	t.Helper()
	var rows, kept int
	if err := s.db.Read().QueryRow(`SELECT count(*) FROM tasks WHERE broker = ?`, broker).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Read().QueryRow(`SELECT coalesce(sum(n), 0) FROM task_counts WHERE broker = ?`, broker).Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if sum := s.counts.sum(broker, "", "", ""); rows != kept || rows != sum {
		t.Errorf("%d rows, %d in the stored totals, %d in memory", rows, kept, sum)
	}
}

func TestTotalsFollowEveryChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "m.db")
	s, broker := openStore(t, Config{Path: path})
	commit(t, s, broker, sample()...)
	changed := sample()
	changed[3].State, changed[3].Worker, changed[3].Name = state.Success, "w1@h", "mail.send"
	commit(t, s, broker, changed...)
	commit(t, s, broker, changed[0])
	counted(t, s, broker)
	want := map[string]int{"SUCCESS": 2, "FAILURE": 1, "STARTED": 1}
	if got := s.States(broker); !reflect.DeepEqual(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, broker = openStore(t, Config{Path: path})
	if got := s.States(broker); !reflect.DeepEqual(got, want) {
		t.Errorf("states after reopening %v, want %v", got, want)
	}
	if got := s.TaskTypes(broker); !reflect.DeepEqual(got, []string{"mail.send", "shop.Add", "shop.add"}) {
		t.Errorf("types %v", got)
	}
}

func TestRetention(t *testing.T) {
	now := time.Unix(1000, 0)
	s, broker := openStore(t, Config{MaxTasks: 3, MaxAge: 980 * time.Second, Now: func() time.Time { return now }})
	commit(t, s, broker, sample()...)
	for more := true; more; {
		var err error
		if more, err = s.Trim(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(t, s, broker, Query{}); got != "04 id 02" {
		t.Errorf("left %q", got)
	}
	counted(t, s, broker)
	commit(t, s, broker, sample()[0]) // an event for a task that is gone
	counted(t, s, broker)
	commit(t, s, broker, &state.Task{UUID: "young", State: state.Pending, Timestamp: 990})
	if _, err := s.Trim(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Trim(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s, broker, Query{}); got != "ng 04 id" {
		t.Errorf("left %q", got)
	}
}

func TestRetentionByBytes(t *testing.T) {
	s, broker := openStore(t, Config{MaxBytes: 4 << 20})
	blob := state.TextOf(strings.Repeat("x", 1000))
	for i := range 3 {
		var tasks []*state.Task
		for j := range 2500 {
			n := i*2500 + j
			tasks = append(tasks, &state.Task{UUID: uuidOf(n), State: state.Success, Timestamp: float64(n + 1), Result: blob})
		}
		commit(t, s, broker, tasks...)
	}
	for more := true; more; {
		var err error
		if more, err = s.Trim(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if full, err := s.full(context.Background()); full || err != nil {
		t.Errorf("still full: %v", err)
	}
	if newest := ids(t, s, broker, Query{Limit: 1}); newest != "99" {
		t.Errorf("newest %s", newest)
	}
	counted(t, s, broker)
}

func TestWorkersAndEventsSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	s, broker := openStore(t, Config{Path: path})
	w := &state.Worker{Hostname: "w@h", PID: 7, Freq: "2.0", Heartbeats: []float64{1.5, 2.5}, Clock: 3, Processed: "9",
		Loadavg: protocol.Raw("[0.5, 1, 2]"), SwIdent: "py", Timestamp: 4, Seen: 5, Offline: 6}
	batch := &Batch{Workers: []WorkerWrite{{broker, w}}, Events: []EventCount{{broker, "w@h", "task-started", "add", 5}}}
	for range 2 {
		if err := s.Commit(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s, broker = openStore(t, Config{Path: path})
	workers, err := s.Workers(context.Background(), broker)
	if err != nil || len(workers) != 1 || !reflect.DeepEqual(workers[0], w) {
		t.Errorf("workers %+v, %v", workers, err)
	}
	events, err := s.EventCounts(context.Background(), broker)
	if err != nil || !reflect.DeepEqual(events, batch.Events) {
		t.Errorf("events %+v, %v", events, err)
	}
	if err := s.DropWorker(context.Background(), broker, "w@h"); err != nil {
		t.Fatal(err)
	}
	if workers, _ = s.Workers(context.Background(), broker); len(workers) != 0 {
		t.Errorf("a forgotten worker remains: %+v", workers)
	}
}

func TestDamagedFileIsMovedAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	if err := os.WriteFile(path, []byte("SQLite format 3\x00"+strings.Repeat("rubbish", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, broker := openStore(t, Config{Path: path})
	commit(t, s, broker, sample()...)
	if found, _ := filepath.Glob(path + ".corrupt-*"); len(found) != 1 {
		t.Errorf("set aside: %v", found)
	}
}

func TestFlowersFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flower")
	shelve := []byte("\xce\x9a\x57\x13 a GNU dbm file")
	if err := os.WriteFile(path, shelve, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := openStore(t, Config{Path: path})
	if s.Path() != path+".umbel.db" {
		t.Errorf("opened %s", s.Path())
	}
	if data, _ := os.ReadFile(path); string(data) != string(shelve) {
		t.Error("Flower's file was changed")
	}
}

func TestManyTasks(t *testing.T) {
	const n, step = 100_000, 5000
	s, broker := openStore(t, Config{MaxTasks: n})
	start := time.Now()
	for i := 0; i < n; i += step {
		b := &Batch{}
		for j := i; j < i+step; j++ {
			b.Tasks = append(b.Tasks, TaskWrite{broker, &state.Task{
				UUID: uuidOf(j), Name: fmt.Sprintf("app.task%d", j%50), State: state.Success, Worker: fmt.Sprintf("w%d@h", j%8),
				Received: float64(j), Started: float64(j), Timestamp: float64(j), Args: state.TextOf("(1, 2)"), Result: state.TextOf("3")}, true})
		}
		if err := s.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d tasks in %v, %d bytes", n, time.Since(start), s.Size())
	counted(t, s, broker)
	for _, q := range []Query{
		{Limit: 10}, {State: "SUCCESS", Limit: 10}, {Worker: "w3@h", Limit: 10}, {Name: "app.task7", Limit: 10},
		{SortBy: "-received", Limit: 10}, {SortBy: "name", Limit: 10}, {Search: "app.task49", Limit: 10}, {Search: "nothing"},
		{ReceivedFrom: 99_990},
	} {
		start := time.Now()
		got := ids(t, s, broker, q)
		total, err := s.Count(context.Background(), broker, q)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v: %d characters, %d in total, %v", q, len(got), total, time.Since(start))
	}
}
