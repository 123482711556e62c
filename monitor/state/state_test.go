package state

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/umbel-go/umbel/protocol"
)

func taskEvent(kind string, at float64, fields ...protocol.Field) *protocol.Event {
	return &protocol.Event{
		Type: "task-" + kind, Hostname: "w@h", Timestamp: at, Clock: int64(at),
		Fields: append(protocol.Object{{Name: "uuid", Value: "t"}}, fields...),
	}
}

func apply(t *testing.T, s *State, events ...*protocol.Event) {
	t.Helper()
	for _, e := range events {
		if _, err := s.Apply(e, e.Timestamp+0.25); err != nil {
			t.Fatalf("%s: %v", e.Type, err)
		}
	}
}

func TestPrecedence(t *testing.T) {
	for _, tc := range []struct {
		name      string
		events    []string
		state     string
		timestamp float64 // of the event with that number
	}{
		{"in order", []string{"sent", "received", "started", "succeeded"}, Success, 4},
		{"late received keeps state and time", []string{"succeeded", "received"}, Success, 1},
		{"late started moves the time", []string{"succeeded", "started"}, Success, 2},
		{"late sent moves the time", []string{"started", "sent"}, Started, 2},
		{"retry beats everything", []string{"succeeded", "retried"}, Retry, 2},
		{"everything beats retry", []string{"retried", "received"}, Received, 2},
		{"revoked after success is late", []string{"succeeded", "revoked"}, Success, 2},
		{"success after revoked", []string{"revoked", "succeeded"}, Success, 2},
		{"failure after success is late", []string{"succeeded", "failed"}, Success, 2},
		{"success after failure", []string{"failed", "succeeded"}, Success, 2},
		{"custom beats started", []string{"started", "my-progress"}, "MY-PROGRESS", 2},
		{"custom after failure is late", []string{"failed", "my-progress"}, Failure, 2},
		{"custom after custom", []string{"my-a", "my-b"}, "MY-B", 2},
		{"rejected after received is late", []string{"received", "rejected"}, Received, 2},
		{"received after rejected", []string{"rejected", "received"}, Received, 2},
		{"twice", []string{"started", "started"}, Started, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := New()
			for i, kind := range tc.events {
				apply(t, s, taskEvent(kind, float64(i+1)))
			}
			if task := s.Task("t"); task.State != tc.state || task.Timestamp != tc.timestamp {
				t.Errorf("state %s at %v, want %s at %v", task.State, task.Timestamp, tc.state, tc.timestamp)
			}
		})
	}
}

func TestLateReceivedAddsTheRequestOnly(t *testing.T) {
	s := New()
	apply(t, s, taskEvent("succeeded", 10, protocol.Field{Name: "result", Value: "3"}),
		taskEvent("received", 5, protocol.Field{Name: "name", Value: "add"}, protocol.Field{Name: "args", Value: "(1, 2)"},
			protocol.Field{Name: "result", Value: "no"}, protocol.Field{Name: "queue", Value: "no"}))
	got := s.Task("t")
	if got.Name != "add" || got.Args.String != "(1, 2)" || got.Result.String != "3" || got.Queue != "" || got.Received != 5 || got.Clock != 10 {
		t.Errorf("%+v", got)
	}
}

func TestWorkerLife(t *testing.T) {
	s := New()
	beat := func(kind string, at float64, fields ...protocol.Field) *protocol.Event {
		return &protocol.Event{Type: "worker-" + kind, Hostname: "w@h", Timestamp: at, PID: 7, Clock: 1, Fields: fields}
	}
	apply(t, s, beat("offline", 1))
	if s.Worker("w@h") != nil {
		t.Error("a goodbye from a stranger made a worker")
	}
	apply(t, s, beat("online", 10))
	w := s.Worker("w@h")
	if w.Freq != "60" || !w.Alive(129) || w.Alive(131) {
		t.Errorf("before a heartbeat told its interval: %+v", w)
	}
	apply(t, s, beat("heartbeat", 12, protocol.Field{Name: "freq", Value: json.Number("2.0")}))
	if !w.Alive(16) || w.Alive(17) {
		t.Errorf("alive by %v", w.HeartbeatExpires())
	}
	apply(t, s, taskEvent("started", 20))
	if len(w.Heartbeats) != 3 || w.Heartbeats[2] != 20 {
		t.Errorf("a task event keeps its worker alive by its own time: %v", w.Heartbeats)
	}
	apply(t, s, beat("offline", 21))
	if w.Alive(21) || w.Offline != 21.25 || len(w.Heartbeats) != 0 {
		t.Errorf("after the goodbye: %+v", w)
	}
}

func TestIncompleteEventsChangeNothing(t *testing.T) {
	s := New()
	for _, e := range []*protocol.Event{
		{Type: "task-started", Hostname: "w@h", Timestamp: 1},
		{Type: "task-started", Hostname: "w@h", Fields: protocol.Object{{Name: "uuid", Value: "t"}}},
	} {
		if _, err := s.Apply(e, 1); !errors.Is(err, ErrIncomplete) {
			t.Errorf("err = %v", err)
		}
	}
	if s.TaskCount() != 0 || len(s.Workers()) != 0 {
		t.Error("an incomplete event left a trace")
	}
	if c, err := s.Apply(&protocol.Event{Type: "custom-thing", Hostname: "x"}, 1); err != nil || c.Worker != nil || c.Task != nil {
		t.Errorf("an event of another group: %+v, %v", c, err)
	}
}

func TestTextKeepsWhatWasSent(t *testing.T) {
	for _, v := range []any{nil, "", "text", json.Number("1.0"), []any{"a"}, protocol.Object{{Name: "k", Value: true}}} {
		stored, err := TextOf(v).Value()
		if err != nil {
			t.Fatal(err)
		}
		var back Text
		if err := back.Scan(stored); err != nil || back != TextOf(v) {
			t.Errorf("%v came back as %+v, %v", v, back, err)
		}
	}
}
