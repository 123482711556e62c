package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// model drives an engine by hand, in an order and with accidents that a seed
// decides. The engine's loops do not run; their steps are called one at a time,
// and between any two of them the engine may be dropped and another made on the
// same store, as after SIGKILL.
type model struct {
	t      *testing.T
	rng    *rand.Rand
	store  *store.Store
	celery *fakeCelery
	now    time.Time
	engine *Engine
	def    *dag.Definition
	plan   []fate // by node
	late   []dag.Observation
	ran    map[string]int // bodies run, by task id
}

// fate is what the attempts of a node come to.
type fate struct{ failures int }

// errKilled is how the model tells that the process is killed here.
var errKilled = errors.New("killed")

func newModel(t *testing.T, s *store.Store, seed uint64) *model {
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), store: s, celery: newFakeCelery(),
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seed) * time.Hour), ran: map[string]int{},
	}
	m.celery.refuse = func() (before, after bool) { return m.chance(8), m.chance(8) }
	m.build(seed)
	m.restart()
	return m
}

func (m *model) chance(oneIn int) bool { return m.rng.IntN(oneIn) == 0 }

// build makes a random graph: node i depends on some of the nodes before it.
func (m *model) build(seed uint64) {
	b := dag.New(fmt.Sprintf("model-%d", seed))
	if m.chance(4) {
		b.FailFast()
	}
	for i := range 1 + m.rng.IntN(20) {
		opts := []dag.NodeOption{dag.Retry(m.rng.IntN(3), time.Duration(m.rng.IntN(2000))*time.Millisecond)}
		for j := range i {
			if m.chance(3) {
				opts = append(opts, dag.After(fmt.Sprintf("n%d", j)))
			}
		}
		b.Node(fmt.Sprintf("n%d", i), "model.task", opts...)
		f := fate{}
		if m.chance(3) {
			f.failures = 1 + m.rng.IntN(3)
		}
		m.plan = append(m.plan, f)
	}
	def, err := b.Build()
	if err != nil {
		m.t.Fatal(err)
	}
	m.def = def
}

// restart drops the engine with all it had in memory.
func (m *model) restart() {
	e, err := New(Config{Store: m.store, Sender: m.celery, Backend: m.celery, Revoker: m.celery, Now: func() time.Time { return m.now }})
	if err == nil {
		err = e.resume(context.Background())
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.engine = e
}

// step does one random thing.
func (m *model) step(ctx context.Context) {
	switch m.rng.IntN(8) {
	case 0, 1:
		m.commit(ctx)
	case 2, 3:
		m.send(ctx)
	case 4, 5:
		m.work()
	case 6:
		m.hear()
	case 7:
		m.now = m.now.Add(time.Duration(m.rng.IntN(1500)) * time.Millisecond)
		if err := m.engine.pollDue(ctx); err != nil {
			m.t.Fatal(err)
		}
	}
	if m.chance(10) {
		m.restart()
	}
}

// commit applies what the engine has heard, loses it, or is cut off in the
// middle of the transaction.
func (m *model) commit(ctx context.Context) {
	var batch store.Batch
	m.engine.gather(&batch)
	if m.chance(12) {
		dead, cancel := context.WithCancelCause(ctx)
		cancel(errKilled)
		if _, err := m.engine.commit(dead, batch); err == nil {
			m.t.Fatal("a commit under a dead context went through")
		}
		m.restart()
		return
	}
	for {
		out, err := m.engine.commit(ctx, batch)
		if err != nil {
			m.t.Fatal(err)
		}
		if batch = (store.Batch{}); !out.More {
			return
		}
	}
}

// send empties the outbox; the process may die before the store knows.
func (m *model) send(ctx context.Context) {
	sent, err := m.engine.sendMail(ctx)
	if err == nil && m.chance(4) {
		m.restart()
		return
	}
	if len(sent) > 0 && !m.engine.noteSent(ctx, sent) {
		m.t.Fatal("not noted")
	}
}

// work lets a worker take a message, sometimes twice, and run it.
func (m *model) work() {
	if len(m.celery.queue) == 0 {
		return
	}
	i := m.rng.IntN(len(m.celery.queue))
	sig := m.celery.queue[i]
	if !m.chance(6) {
		m.celery.queue = append(m.celery.queue[:i], m.celery.queue[i+1:]...)
	}
	id := idOf(sig)
	m.ran[id]++
	var node, attempt int
	if _, err := fmt.Sscanf(text(sig, dag.StampNode)+" "+text(sig, dag.StampAttempt), "n%d %d", &node, &attempt); err != nil {
		m.t.Fatal(err)
	}
	if m.chance(2) {
		m.celery.store(&protocol.Result{TaskID: id, Status: protocol.StateStarted})
	}
	result := ok(id, `{"n": 1}`)
	if attempt <= m.plan[node].failures {
		result = bad(id, "as planned")
	}
	m.celery.store(result)
	if o, seen := observe(result, m.now); seen {
		m.late = append(m.late, o)
	}
	m.late = append(m.late, dag.Observation{TaskID: id, Kind: dag.SeenStarted, At: m.now, Worker: "w@1"})
}

// hear passes on reports in any order, any number of times, or loses them.
func (m *model) hear() {
	for range min(len(m.late), 4) {
		i := m.rng.IntN(len(m.late))
		select {
		case m.engine.seen <- m.late[i]:
		default:
		}
		if m.chance(2) {
			m.late = append(m.late[:i], m.late[i+1:]...)
		}
	}
}

// oracle is what every node must come to, without failing fast.
func (m *model) oracle() []dag.NodeState {
	states := make([]dag.NodeState, len(m.def.Nodes))
	for i := range m.def.Nodes {
		states[i] = dag.NodeSucceeded
		if m.plan[i].failures > m.def.Nodes[i].Retries {
			states[i] = dag.NodeFailed
		}
		for _, dep := range m.def.Plan().Prev[i] {
			if states[dep] != dag.NodeSucceeded {
				states[i] = dag.NodeUpstreamFailed
			}
		}
	}
	return states
}

func (m *model) check(run *dag.Run) {
	m.t.Helper()
	want, verdict := m.oracle(), dag.RunSucceeded
	for i, state := range want {
		n := &run.Nodes[i]
		if state == dag.NodeFailed {
			verdict = dag.RunFailed
		}
		if n.State != state && !(m.def.FailFast && n.State == dag.NodeCancelled) {
			m.t.Errorf("node %s is %s, not %s", n.Name, n.State, state)
		}
		attempts := 0
		if state != dag.NodeUpstreamFailed {
			attempts = min(m.plan[i].failures, m.def.Nodes[i].Retries) + 1
		}
		if n.Attempt != attempts && !(m.def.FailFast && n.Attempt < attempts) {
			m.t.Errorf("node %s had %d attempts, not %d", n.Name, n.Attempt, attempts)
		}
		for k := 1; k <= n.Attempt; k++ {
			if m.ran[dag.AttemptID(run.UUID, n.Name, 0, k)] == 0 {
				m.t.Errorf("attempt %d of node %s never ran", k, n.Name)
			}
		}
	}
	if run.State != verdict {
		m.t.Errorf("run is %s, not %s", run.State, verdict)
	}
	m.checkHistory(run)
}

// checkHistory: each node became ready once per attempt and ended once.
func (m *model) checkHistory(run *dag.Run) {
	history, err := m.store.History(context.Background(), run.ID, 100_000)
	if err != nil {
		m.t.Fatal(err)
	}
	ready, ended := map[string]int{}, map[string]int{}
	for _, e := range history {
		if e.Node == "" {
			continue
		}
		switch state := dag.NodeState(e.Kind); {
		case state == dag.NodeReady:
			ready[e.Node]++
		case state.Terminal():
			ended[e.Node]++
		}
	}
	known := map[string]bool{}
	for _, n := range run.Nodes {
		if (ready[n.Name] != n.Attempt && n.State != dag.NodeCancelled) || ended[n.Name] != 1 {
			m.t.Errorf("node %s: ready %d times for %d attempts, ended %d times", n.Name, ready[n.Name], n.Attempt, ended[n.Name])
		}
		for k := 1; k <= n.Attempt; k++ {
			known[dag.AttemptID(run.UUID, n.Name, 0, k)] = true
		}
	}
	for id := range m.celery.published {
		if !known[id] {
			m.t.Errorf("task %s was published for no attempt", id)
		}
	}
}

// quiet drops the log of engines that are restarted all the time.
func quiet(t *testing.T) {
	old := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(old) })
}

// TestModel holds the invariants against accidents: every node is released once
// per attempt, and the verdict is what it would be without any accident.
func TestModel(t *testing.T) {
	seeds := uint64(300)
	if os.Getenv("UMBEL_TEST_FULL") == "1" {
		seeds = 5000
	}
	s := openStore(t)
	quiet(t)
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, s, seed)
			ctx := context.Background()
			run, err := m.engine.Start(ctx, Start{Definition: m.def})
			if err != nil {
				t.Fatal(err)
			}
			for round := 0; round < 2000 && !run.State.Terminal(); round++ {
				for range 10 {
					m.step(ctx)
				}
				if run, err = s.Run(ctx, run.ID); err != nil {
					t.Fatal(err)
				}
			}
			m.check(run)
		})
	}
}
