package brokertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/umbel-go/umbel/broker"
)

// RunDeadLetters tests the dead-letter place of a driver whose Broker implements
// broker.DeadLetters. open is as for Run.
func RunDeadLetters(t *testing.T, open func(t *testing.T) broker.Broker) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, broker.Broker, broker.DeadLetters)
	}{
		{"List", listDead},
		{"Replay", replayDead},
		{"Drop", dropDead},
		{"Empty", noDead},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := open(t)
			t.Cleanup(func() { b.Close() })
			letters, ok := b.(broker.DeadLetters)
			if !ok {
				t.Fatalf("%T keeps no dead letters", b)
			}
			test.run(t, b, letters)
		})
	}
}

// kill publishes messages with these ids and moves them to the dead letters, in
// this order.
func kill(t *testing.T, b broker.Broker, c broker.Consumer, queue string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		publish(t, b, queue, id)
		if err := claim(t, c, 1, wait)[0].Dead(within(t, wait), "reason of "+id); err != nil {
			t.Fatalf("dead: %v", err)
		}
	}
}

func list(t *testing.T, letters broker.DeadLetters, queue string, max int) []broker.DeadLetter {
	t.Helper()
	got, err := letters.ListDead(within(t, wait), queue, max)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return got
}

func taskIDs(letters []broker.DeadLetter) []string {
	var ids []string
	for _, l := range letters {
		ids = append(ids, l.Message.Headers.String("id"))
	}
	return ids
}

func listDead(t *testing.T, b broker.Broker, letters broker.DeadLetters) {
	q := unique("q")
	c := consume(t, b, 1, q)
	kill(t, b, c, q, "a", "b", "c")
	for range 2 { // listing changes nothing
		all := list(t, letters, q, 10)
		if got := taskIDs(all); !slices.Equal(got, []string{"c", "b", "a"}) {
			t.Fatalf("listed %v, want the newest first", got)
		}
		for _, l := range all {
			id := l.Message.Headers.String("id")
			if l.ID == "" || l.Queue != q || l.Reason != "reason of "+id || time.Since(l.Time).Abs() > wait {
				t.Errorf("letter %+v", l)
			}
			sent := task(id)
			if string(l.Message.Body) != string(sent.Body) || l.Message.Properties.CorrelationID != id ||
				l.Message.ContentType != sent.ContentType || len(l.Message.Headers) != len(sent.Headers) {
				t.Errorf("message %+v, want it as it was consumed", l.Message)
			}
		}
		if all[0].ID == all[1].ID {
			t.Error("two letters have one id")
		}
	}
	if got := taskIDs(list(t, letters, q, 2)); !slices.Equal(got, []string{"c", "b"}) {
		t.Errorf("listed %v of at most two", got)
	}
	none(t, c)
}

func replayDead(t *testing.T, b broker.Broker, letters broker.DeadLetters) {
	q := unique("q")
	c := consume(t, b, 1, q)
	kill(t, b, c, q, "a", "b", "c", "d")
	all := list(t, letters, q, 10)
	n, err := letters.ReplayDead(within(t, wait), q, all[0].ID, "unknown", all[2].ID)
	if err != nil || n != 2 {
		t.Fatalf("replayed %d, %v; want 2", n, err)
	}
	again := claim(t, c, 1, wait)[0]
	if id(again) != "b" {
		t.Errorf("got %s, want the oldest first", id(again))
	}
	for _, f := range again.Message().Headers {
		if task("b").Headers.String(f.Name) != again.Message().Headers.String(f.Name) {
			t.Errorf("header %s = %v came with the replayed message", f.Name, f.Value)
		}
	}
	ack(t, again)
	d := claim(t, c, 1, wait)[0]
	if id(d) != "d" {
		t.Errorf("got %s, want d", id(d))
	}
	// What dies again is a letter again.
	if err := d.Dead(within(t, wait), "once more"); err != nil {
		t.Fatal(err)
	}
	left := list(t, letters, q, 10)
	if diff := cmp.Diff([]string{"d", "c", "a"}, taskIDs(left)); diff != "" || left[0].Reason != "once more" {
		t.Errorf("left: %s", diff)
	}
	if n, err := letters.ReplayDead(within(t, wait), q); err != nil || n != 3 {
		t.Errorf("replayed %d, %v; want all 3", n, err)
	}
	seen := map[string]bool{}
	for range 3 {
		d := claim(t, c, 1, wait)[0]
		seen[id(d)] = true
		ack(t, d)
	}
	if len(seen) != 3 || len(list(t, letters, q, 10)) != 0 {
		t.Errorf("got %v back", seen)
	}
	none(t, c)
}

func dropDead(t *testing.T, b broker.Broker, letters broker.DeadLetters) {
	q := unique("q")
	c := consume(t, b, 1, q)
	kill(t, b, c, q, "a", "b", "c")
	all := list(t, letters, q, 10)
	if n, err := letters.DropDead(within(t, wait), q, all[1].ID); err != nil || n != 1 {
		t.Fatalf("dropped %d, %v; want 1", n, err)
	}
	if got := fmt.Sprint(taskIDs(list(t, letters, q, 10))); got != "[c a]" {
		t.Errorf("left %s", got)
	}
	if n, err := letters.DropDead(within(t, wait), q); err != nil || n != 2 {
		t.Errorf("dropped %d, %v; want the other 2", n, err)
	}
	if got := list(t, letters, q, 10); len(got) != 0 {
		t.Errorf("left %v", got)
	}
	none(t, c)
}

func noDead(t *testing.T, _ broker.Broker, letters broker.DeadLetters) {
	q := unique("q")
	if got := list(t, letters, q, 10); len(got) != 0 {
		t.Errorf("listed %v of an unknown queue", got)
	}
	if n, err := letters.ReplayDead(within(t, wait), q); err != nil || n != 0 {
		t.Errorf("replayed %d, %v", n, err)
	}
	if n, err := letters.DropDead(within(t, wait), q, "x"); err != nil || n != 0 {
		t.Errorf("dropped %d, %v", n, err)
	}
}
