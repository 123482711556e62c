package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/protocol"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func build(t *testing.T, b *dag.Builder) *dag.Definition {
	t.Helper()
	def, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func create(t *testing.T, s *Store, def *dag.Definition, uuid string) *dag.Run {
	t.Helper()
	v, err := s.Define(context.Background(), def, "test", noon)
	if err != nil {
		t.Fatal(err)
	}
	r := dag.NewRun(v.Definition, v.Version, uuid, protocol.Raw("{}"), noon)
	if err := s.Create(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func commit(t *testing.T, s *Store, b Batch, now time.Time) Outcome {
	t.Helper()
	out, err := s.Commit(context.Background(), b, now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVersionsAreByContent(t *testing.T) {
	s := open(t, sqlitex.Memory)
	first, second := build(t, dag.New("w").Node("a", "t")), build(t, dag.New("w").Node("b", "t"))
	for i, c := range []struct {
		def  *dag.Definition
		want int
	}{{first, 1}, {first, 1}, {second, 2}, {first, 1}, {second, 2}} {
		v, err := s.Define(context.Background(), c.def, "test", noon)
		if err != nil || v.Version != c.want {
			t.Errorf("%d: version %d, %v", i, v.Version, err)
		}
		newest, err := s.Definition(context.Background(), "w")
		if err != nil || newest.Version != c.want || newest.Definition.Nodes[0].Name != c.def.Nodes[0].Name {
			t.Errorf("%d: newest is %+v, %v", i, newest, err)
		}
	}
	all, err := s.Definitions(context.Background())
	if err != nil || len(all) != 1 || all[0].Version != 2 {
		t.Errorf("list: %+v, %v", all, err)
	}
}

func TestEverythingSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dag.db")
	s := open(t, path)
	r := create(t, s, build(t, dag.New("w").Node("a", "t", dag.Args(1)).Node("b", "t", dag.After("a"))), "u1")
	commit(t, s, Batch{}, noon)
	id := dag.AttemptID("u1", "a", 0, 1)
	commit(t, s, Batch{Seen: []dag.Observation{{
		TaskID: id, Kind: dag.SeenSuccess, At: noon, Worker: "w@1", Runtime: 1.5, Result: protocol.Raw(`{"x": NaN}`),
	}}}, noon)
	before, err := s.Run(context.Background(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := open(t, path).Run(context.Background(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	a, b := before.Nodes[0], after.Nodes[0]
	if b.State != dag.NodeSucceeded || string(b.Result) != `{"x": NaN}` || b.Worker != "w@1" || b.Runtime != 1.5 || !a.EndedAt.Equal(b.EndedAt) {
		t.Errorf("a is %+v", b)
	}
	if after.Nodes[1].State != dag.NodeDispatching || !after.Created.Equal(noon) {
		t.Errorf("b is %+v", after.Nodes[1])
	}
}

func TestOutboxGivesEachMessageUntilItIsSent(t *testing.T) {
	s := open(t, sqlitex.Memory)
	create(t, s, build(t, dag.New("w").Node("a", "t", dag.Args(1.0), dag.OnQueue("q"))), "u1")
	if out := commit(t, s, Batch{}, noon); !out.Mail {
		t.Fatal("no mail")
	}
	for range 2 {
		mails, err := s.Outbox(context.Background(), noon, 10)
		if err != nil || len(mails) != 1 || mails[0].Publish.Task != "t" {
			t.Fatalf("%+v, %v", mails, err)
		}
	}
	mails, _ := s.Outbox(context.Background(), noon, 10)
	if err := s.Unsent(context.Background(), mails, errors.New("broker is away"), noon); err != nil {
		t.Fatal(err)
	}
	if left, _ := s.Outbox(context.Background(), noon, 10); len(left) != 0 {
		t.Error("due again at once")
	}
	if r, _ := s.Run(context.Background(), 1); r.Nodes[0].Reason != "cannot be sent: broker is away" {
		t.Errorf("reason %q", r.Nodes[0].Reason)
	}
	commit(t, s, Batch{Sent: []int64{mails[0].ID, mails[0].ID, 99}}, noon)
	if left, _ := s.Outbox(context.Background(), noon.Add(time.Hour), 10); len(left) != 0 {
		t.Error("due after it was sent")
	}
	due, err := s.DuePolls(context.Background(), noon.Add(time.Second), 10)
	if err != nil || len(due) != 1 || due[0].State != dag.NodeQueued {
		t.Errorf("polls %+v, %v", due, err)
	}
	if err := s.Polled(context.Background(), due, noon.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, next, _ := s.Next(context.Background()); !next.Equal(noon.Add(3 * time.Second)) {
		t.Errorf("next poll at %s", next)
	}
}

func TestForeignReportsAreDropped(t *testing.T) {
	s := open(t, sqlitex.Memory)
	out := commit(t, s, Batch{Seen: []dag.Observation{{TaskID: "not ours", Kind: dag.SeenSuccess}}}, noon)
	if len(out.Runs) != 0 {
		t.Errorf("advanced %v", out.Runs)
	}
}

func TestGuardRefusesChangedNode(t *testing.T) {
	s := open(t, sqlitex.Memory)
	r := create(t, s, build(t, dag.New("w").Node("a", "t")), "u1")
	err := s.db.Write(context.Background(), func(tx *sql.Tx) error {
		return saveNode(context.Background(), tx, r.ID, dag.Guard{State: dag.NodeRunning, Attempt: 1}, &r.Nodes[0])
	})
	if !errors.Is(err, errConflict) {
		t.Errorf("got %v", err)
	}
}

func TestDamagedRunStopsNoOther(t *testing.T) {
	s := open(t, sqlitex.Memory)
	def := build(t, dag.New("w").Node("a", "t"))
	bad, good := create(t, s, def, "u1"), create(t, s, def, "u2")
	err := s.db.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`DELETE FROM dag_node WHERE run_id = ?`, bad.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, Batch{}, noon)
	r, err := s.Run(context.Background(), good.ID)
	if err != nil || r.State != dag.RunRunning {
		t.Errorf("good run: %+v, %v", r, err)
	}
	if next, _, _, _ := s.Next(context.Background()); !next.Equal(noon.Add(time.Minute)) {
		t.Errorf("the damaged run is due at %s", next)
	}
}

func TestNameIsTaken(t *testing.T) {
	s := open(t, sqlitex.Memory)
	def := build(t, dag.New("w").Node("a", "t"))
	r := create(t, s, def, "u1")
	for i, want := range []error{nil, ErrNameTaken} {
		next := dag.NewRun(def, r.Version, string(rune('x'+i)), protocol.Raw("{}"), noon)
		next.Name = "same"
		if err := s.Create(context.Background(), next); !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
