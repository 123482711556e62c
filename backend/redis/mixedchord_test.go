package redis_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// mixed is a chord whose header tasks run here and in Python.
type mixed struct {
	t     *testing.T
	b     *redis.Backend
	py    *peer
	group string
	fired []string // the arguments of every body, as JSON
}

// ours runs a header task here, and sends the body when it is the last.
func (m *mixed) ours(index int, value string) {
	m.t.Helper()
	join := addPart(m.t, m.b, part(m.group, index, value))
	if join == nil {
		return
	}
	var values []string
	for _, p := range join.Parts {
		values = append(values, string(p.Value))
	}
	m.fired = append(m.fired, "["+strings.Join(values, ", ")+"]")
	finish(m.t, join)
}

// theirs runs it in Python.
func (m *mixed) theirs(index int, value string) {
	m.t.Helper()
	m.py.call("part", fmt.Sprintf("%s-%d", m.group, index), m.group, index, json.RawMessage(value))
	var sent []json.RawMessage
	if err := json.Unmarshal([]byte(m.py.call("bodies")), &sent); err != nil {
		m.t.Fatal(err)
	}
	for _, s := range sent {
		m.fired = append(m.fired, string(s))
	}
}

func (m *mixed) want(values ...string) {
	m.t.Helper()
	if want := "[" + strings.Join(values, ", ") + "]"; len(m.fired) != 1 || m.fired[0] != want {
		m.t.Fatalf("the bodies got %v, want one with %s", m.fired, want)
	}
}

// Header tasks run on both sides in any order, and again on the other side or
// with another value; one body is sent, with the first value of each.
func TestMixedChord(t *testing.T) {
	for _, venv := range celeries {
		t.Run(venv, func(t *testing.T) {
			url := testenv.Redis(t)
			b, py := open(t, redis.Config{URL: url}), startPeer(t, venv, url)
			rng := rand.New(rand.NewPCG(5, 7))
			for run := range 60 {
				m := &mixed{t: t, b: b, py: py, group: fmt.Sprintf("g%d", run)}
				size := 1 + run%4
				if run%2 == 0 {
					startChord(t, b, m.group, size)
				} else {
					py.call("chord", m.group, size)
				}
				m.inAnyOrder(rng, size, venv == "celery57")
			}
		})
	}
}

// inAnyOrder runs a chord of this size. A task that runs twice has another value
// only where all peers tell parts apart by their place.
func (m *mixed) inAnyOrder(rng *rand.Rand, size int, changing bool) {
	m.t.Helper()
	values := make([]string, size)
	var runs []int
	for i := range size {
		values[i] = fmt.Sprintf(`{"\u00e9": %d.5}`, i)
		runs = append(runs, i)
		if rng.IntN(3) == 0 {
			runs = append(runs, i)
		}
	}
	rng.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	for n, i := range runs {
		value := values[i]
		if changing && slices.Contains(runs[:n], i) {
			value = `"another"`
		}
		if rng.IntN(2) == 0 {
			m.ours(i, value)
		} else {
			m.theirs(i, value)
		}
	}
	m.want(values...)
}

func TestMixedChordOfAThousand(t *testing.T) {
	url := testenv.Redis(t)
	const size = 1000
	for name, last := range map[string]func(*mixed, int, string){"ours is last": (*mixed).ours, "theirs is last": (*mixed).theirs} {
		t.Run(name, func(t *testing.T) {
			m := &mixed{t: t, b: open(t, redis.Config{URL: url}), py: startPeer(t, "celery57", url), group: name}
			startChord(t, m.b, m.group, size)
			values := make([]string, size)
			for i := range values {
				values[i] = fmt.Sprint(i)
			}
			for i := size - 1; i > 0; i-- {
				if i%10 == 0 {
					m.theirs(i, values[i])
				} else {
					m.ours(i, values[i])
				}
			}
			if len(m.fired) != 0 {
				t.Fatal("it fired early")
			}
			last(m, 0, values[0])
			m.want(values...)
		})
	}
}

// A header with a group in it is joined by the results of its tasks, whoever
// saved the group and whoever comes last.
func TestMixedChordOfASavedGroup(t *testing.T) {
	url := testenv.Redis(t)
	b, py := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url)
	for run := range 4 {
		m := &mixed{t: t, b: b, py: py, group: fmt.Sprintf("g%d", run)}
		id := func(i int) string { return fmt.Sprintf("%s-%d", m.group, i) }
		if run%2 == 0 {
			inner := protocol.Tuple{ID: "inner", Group: true, Members: []protocol.Tuple{{ID: id(1)}, {ID: id(2)}}}
			saved := protocol.Tuple{ID: m.group, Group: true, Members: []protocol.Tuple{{ID: id(0)}, inner}}
			if err := b.PutGroup(bounded(t), m.group, saved.Raw()); err != nil {
				t.Fatal(err)
			}
		} else {
			py.call("save", m.group, []any{id(0), []any{"inner", []any{id(1), id(2)}}})
		}
		startChord(t, b, m.group, 3)
		for i, value := range []string{"0", `"one"`, "[2]"} {
			put(t, b, result(id(i), "SUCCESS", value))
			if (i+run/2)%2 == 0 {
				m.ours(i, value)
			} else {
				m.theirs(i, value)
			}
		}
		m.want("0", `["one", [2]]`)
	}
}

// A group saved on one side is restored and deleted on the other.
func TestSavedGroupWithPython(t *testing.T) {
	for _, venv := range celeries {
		t.Run(venv, func(t *testing.T) {
			url := testenv.Redis(t)
			b, py, look := open(t, redis.Config{URL: url}), startPeer(t, venv, url), dial(t, url)
			py.call("save", "g", []any{"a", []any{"h", []any{"b"}}})
			g, err := b.GetGroup(bounded(t), "g")
			if err != nil || fmt.Sprint(g.Tasks()) != "[a b]" {
				t.Fatalf("got %+v, %v", g, err)
			}
			python := look.text("GET", groupPrefix+"g")
			if err := b.PutGroup(bounded(t), "g", g.Raw()); err != nil {
				t.Fatal(err)
			}
			if ours := look.text("GET", groupPrefix+"g"); ours != python {
				t.Errorf("Python's %s is written as %s", python, ours)
			}
			if got := py.call("restore", "g"); got != string(g.Raw()) {
				t.Errorf("restored as %s", got)
			}
			if err := b.DeleteGroup(bounded(t), "g"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.GetGroup(bounded(t), "g"); err == nil || !strings.Contains(err.Error(), backend.ErrNoGroup.Error()) {
				t.Errorf("a deleted group: %v", err)
			}
		})
	}
}

func TestMixedChordGrows(t *testing.T) {
	url := testenv.Redis(t)
	m := &mixed{t: t, b: open(t, redis.Config{URL: url}), py: startPeer(t, "celery57", url), group: "g"}
	startChord(t, m.b, "g", 1)
	m.py.call("grow", "g")
	if err := m.b.GrowChord(bounded(t), "g", 1); err != nil {
		t.Fatal(err)
	}
	m.ours(0, "0")
	m.theirs(1, "1")
	m.ours(2, "2")
	m.want("0", "1", "2")
}

// The same chord is sent again after it was done by the other side, and after it
// has failed.
func TestMixedChordRunsAgain(t *testing.T) {
	url := testenv.Redis(t)
	m := &mixed{t: t, b: open(t, redis.Config{URL: url}), py: startPeer(t, "celery57", url), group: "g"}
	for run, parts := range []struct{ first, second func(*mixed, int, string) }{
		{(*mixed).ours, (*mixed).theirs}, {(*mixed).theirs, (*mixed).ours}, {(*mixed).theirs, (*mixed).theirs}, {(*mixed).ours, (*mixed).ours},
	} {
		m.fired = nil
		startChord(t, m.b, "g", 2)
		parts.first(m, 1, fmt.Sprint(run))
		parts.second(m, 0, "0")
		m.want("0", fmt.Sprint(run))
	}
	startChord(t, m.b, "g", 1)
	bad := part("g", 0, "null")
	bad.Result.Status = protocol.StateFailure
	if err := addPart(t, m.b, bad).Failed(bounded(t)); err != nil {
		t.Fatal(err)
	}
	m.fired = nil
	startChord(t, m.b, "g", 1)
	m.ours(0, `"now"`)
	m.want(`"now"`)
}

// A Python worker that holds the claim is killed while it waits for a result.
func TestPythonHolderIsKilled(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b, py, look := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url), dial(t, url)
	py.call("save", "g", []any{"g-0", "g-1"})
	startChord(t, b, "g", 2)
	put(t, b, result("g-0", "SUCCESS", "1"))
	addPart(t, b, part("g", 0, "1"))
	py.send("part", "g-1", "g", 1, 2) // its result is not stored, so the join waits
	testenv.Eventually(t, 10*time.Second, func() error {
		if look.number("EXISTS", groupPrefix+"g.c") == 0 {
			return fmt.Errorf("Python has no claim")
		}
		return nil
	})
	py.kill()
	put(t, b, result("g-1", "SUCCESS", "2"))
	due(look, "g")
	join := adopt(t, b, "g", "g-0=1 g-1=2") // by itself, when Python's claim has lapsed
	finish(t, join)
	other := startPeer(t, "celery57", url)
	other.call("part", "g-1", "g", 1, 2)
	if got := other.call("bodies"); got != "[]" {
		t.Errorf("Python sent the body again: %s", got)
	}
	wantForgotten(t, look, "g")
}

// What Python finishes by itself, well or badly, is no orphan.
func TestPythonFinishes(t *testing.T) {
	url := testenv.Redis(t)
	b, py, look := open(t, redis.Config{URL: url}), startPeer(t, "celery57", url), dial(t, url)
	startChord(t, b, "good", 1)
	py.call("part", "good-0", "good", 0, 1)
	if got := py.call("bodies"); got != "[[1]]" {
		t.Fatalf("Python sent %s", got)
	}
	startChord(t, b, "bad", 1)
	py.call("part", "bad-0", "bad", 0, map[string]any{"exc_type": "ValueError", "exc_message": []any{"x"}, "exc_module": "builtins"}, "FAILURE")
	for _, group := range []string{"good", "bad"} {
		due(look, group)
	}
	if found := orphans(t, b); len(found) != 0 {
		t.Fatalf("got %+v", found)
	}
	if got := look.number("ZCARD", chordIndex); got != 1 { // of the failed one only time tells
		t.Errorf("%d chords are still recorded", got)
	}
}
