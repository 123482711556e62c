package state

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// TestAgainstCelery feeds the same events, reordered, doubled and with holes, to
// celery.events.State and to ours, and compares every field of every task and
// worker.
func TestAgainstCelery(t *testing.T) {
	const rounds = 300
	var input bytes.Buffer
	ours := make([]*State, rounds)
	streams := make([][]*protocol.Event, rounds)
	for round := range rounds {
		random := rand.New(rand.NewPCG(1, uint64(round)))
		ours[round], streams[round] = New(), randomStream(random)
		for i, e := range streams[round] {
			received := e.Timestamp + float64(i%7)/8
			if _, err := ours[round].Apply(e, received); err != nil {
				t.Fatal(err)
			}
			writeLine(t, &input, protocol.Object{{Name: "event", Value: e.Object()}, {Name: "received", Value: received}})
		}
		writeLine(t, &input, protocol.Object{{Name: "show", Value: true}})
	}
	cmd := testenv.PythonCommand(t, "celery57", "testdata/celery_state.py")
	cmd.Stdin = &input
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("celery_state.py: %v", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	round := 0
	for ; lines.Scan(); round++ {
		theirs, err := protocol.DecodeObject(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if !compare(t, ours[round], theirs) {
			for i, e := range streams[round] {
				t.Logf("%d: %s %s of %s at %v", i, e.Type, e.UUID(), e.Hostname, e.Timestamp)
			}
			t.FailNow()
		}
	}
	if round != rounds {
		t.Errorf("Celery answered %d of %d streams", round, rounds)
	}
}

func writeLine(t *testing.T, w *bytes.Buffer, v any) {
	t.Helper()
	raw, err := protocol.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(append(raw, '\n'))
}

// compare reports every difference between the two states.
func compare(t *testing.T, ours *State, theirs protocol.Object) bool {
	t.Helper()
	tasks, workers := member(theirs, "tasks"), member(theirs, "workers")
	if len(tasks) != ours.TaskCount() || len(workers) != len(ours.Workers()) {
		t.Errorf("we have %d tasks and %d workers, Celery %d and %d",
			ours.TaskCount(), len(ours.Workers()), len(tasks), len(workers))
	}
	for _, f := range tasks {
		if task := ours.Task(f.Name); task != nil {
			same(t, "task "+f.Name, task.Object(nil).Without("children", "root", "parent"), f.Value.(protocol.Object))
		}
	}
	for _, f := range workers {
		if w := ours.Worker(f.Name); w != nil {
			same(t, "worker "+f.Name, w.Object(), f.Value.(protocol.Object))
		}
	}
	return !t.Failed()
}

func member(o protocol.Object, name string) protocol.Object {
	v, _ := o.Get(name)
	out, _ := v.(protocol.Object)
	return out
}

func same(t *testing.T, what string, ours, theirs protocol.Object) {
	t.Helper()
	if len(ours) != len(theirs) {
		t.Errorf("%s has %d fields, Celery's %d", what, len(ours), len(theirs))
	}
	for _, f := range theirs {
		have, _ := ours.Get(f.Name)
		raw, err := protocol.Marshal(have)
		if err != nil {
			t.Fatal(err)
		}
		have, err = protocol.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(have, f.Value) {
			t.Errorf("%s: %s is %v, Celery has %v", what, f.Name, have, f.Value)
		}
	}
}

// randomStream is what a few workers could send about a few tasks, out of order,
// with repetitions and holes.
func randomStream(random *rand.Rand) []*protocol.Event {
	var out []*protocol.Event
	clock := int64(100)
	add := func(kind, hostname string, fields protocol.Object) {
		clock++
		out = append(out, &protocol.Event{
			Type: kind, Hostname: hostname, PID: 10 + len(hostname), Clock: clock,
			Timestamp: 1795216000 + float64(clock)/16, Fields: fields,
		})
	}
	for id := range 1 + random.IntN(6) {
		uuid := protocol.Field{Name: "uuid", Value: fmt.Sprintf("task-%d", id)}
		worker := fmt.Sprintf("w%d@h", random.IntN(3))
		for _, kind := range lives[random.IntN(len(lives))] {
			hostname := worker
			if kind == "task-sent" {
				hostname = "gen1@h"
			}
			add(kind, hostname, append(protocol.Object{uuid}, randomFields(random, kind)...))
		}
	}
	for range random.IntN(8) {
		kind := []string{"worker-online", "worker-heartbeat", "worker-heartbeat", "worker-offline"}[random.IntN(4)]
		add(kind, fmt.Sprintf("w%d@h", random.IntN(3)), randomFields(random, kind))
	}
	random.Shuffle(len(out), func(i, j int) {
		if random.IntN(3) > 0 {
			out[i], out[j] = out[j], out[i]
		}
	})
	kept := out[:0:0]
	for _, e := range out {
		copies := []int{0, 1, 1, 1, 1, 1, 1, 2}[random.IntN(8)]
		for range copies {
			kept = append(kept, overTheWire(e))
		}
	}
	return kept
}

// overTheWire is the event as the monitor decodes it.
func overTheWire(e *protocol.Event) *protocol.Event {
	m, _, err := protocol.EncodeEvents(e)
	if err != nil {
		panic(err)
	}
	decoded, err := protocol.DecodeEvents(m)
	if err != nil {
		panic(err)
	}
	return decoded[0]
}

var lives = [][]string{
	{"task-sent", "task-received", "task-started", "task-succeeded"},
	{"task-received", "task-started", "task-failed"},
	{"task-received", "task-started", "task-retried", "task-received", "task-started", "task-succeeded"},
	{"task-sent", "task-received", "task-revoked"},
	{"task-received", "task-rejected"},
	{"task-received", "task-started", "task-my-progress", "task-other-step", "task-succeeded"},
	{"task-started", "task-failed", "task-failed", "task-succeeded"},
}

func randomFields(random *rand.Rand, kind string) protocol.Object {
	pick := func(values ...any) any { return values[random.IntN(len(values))] }
	field := func(name string, values ...any) protocol.Field {
		return protocol.Field{Name: name, Value: pick(values...)}
	}
	switch kind {
	case "task-sent":
		return protocol.Object{field("name", "add", nil), field("args", "(1, 2)", []any{1, "two"}), field("root_id", "r", nil),
			field("retries", 0), field("queue", "celery"), field("exchange", ""), field("routing_key", "celery")}
	case "task-received":
		return protocol.Object{field("name", "add"), field("args", "(1, 2)"), field("kwargs", "{}", nil), field("root_id", "r"),
			field("parent_id", nil, "task-1"), field("retries", 0, 1), field("eta", nil, "2026-11-20T17:41:11+00:00"), field("expires", nil)}
	case "task-succeeded":
		return protocol.Object{field("result", "3", nil), field("runtime", 0.5, 0.0, nil)}
	case "task-failed", "task-retried":
		return protocol.Object{field("exception", "ValueError('x')", "KeyError()"), field("traceback", "Traceback", nil)}
	case "task-revoked":
		return protocol.Object{field("terminated", true, false), field("signum", nil, "15"), field("expired", false)}
	case "worker-online", "worker-heartbeat", "worker-offline":
		return protocol.Object{field("freq", 2.0, 5, 60.0), field("active", 0, 3, nil), field("processed", 7),
			field("loadavg", []any{0.5, 1.25, 2.0}), field("sw_ident", "py-celery"), field("sw_ver", "5.7.0"), field("sw_sys", "Linux")}
	}
	return nil
}
