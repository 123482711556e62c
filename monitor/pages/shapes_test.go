package pages

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

func TestTimeline(t *testing.T) {
	at := float64(now.Unix())
	tests := []struct {
		name string
		task state.Task
		want []string
	}{
		{"whole", state.Task{State: state.Failure, Sent: at - 30, Received: at - 20, Started: at - 10, Failed: at}, []string{"In the queue idle", "In the worker’s hands info", "Running bad"}},
		{"running", state.Task{State: state.Started, Received: at - 20, Started: at - 10}, []string{"In the worker’s hands info", "Running run open"}},
		{"waiting", state.Task{State: state.Pending, Sent: at - 20}, []string{"In the queue idle open"}},
		{"in hand", state.Task{State: state.Received, Received: at - 5}, []string{"In the worker’s hands info open"}},
		{"revoked unstarted", state.Task{State: state.Revoked, Received: at - 5, Revoked: at - 1}, []string{"In the worker’s hands info"}},
		{"clocks disagree", state.Task{State: state.Success, Sent: at + 9, Received: at - 2, Started: at - 3, Succeeded: at}, []string{"Running good"}},
		{"nothing", state.Task{State: state.Pending}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spans := timeline(newTaskView(&test.task), now)
			var got []string
			x := 0.0
			for _, s := range spans {
				line := s.Title + " " + s.Tone
				if s.Open {
					line += " open"
				}
				got = append(got, line)
				if math.Abs(s.X-x) > 0.5 || s.W < 5 {
					t.Errorf("span at %v, %v wide, after %v", s.X, s.W, x)
				}
				x = s.X + s.W
			}
			if len(spans) > 0 && math.Abs(x-1000) > 1 {
				t.Errorf("ends at %v", x)
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("got %q, want %q", got, test.want)
				}
			}
		})
	}
}

func TestMomentRefusesNonsense(t *testing.T) {
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1), 1e18} {
		if got := moment(bad); !got.IsZero() {
			t.Errorf("%v gives %v", bad, got)
		}
	}
	if got := moment(1795262398.25); got.Format(time.RFC3339Nano) != "2026-11-21T11:59:58.25Z" {
		t.Error(got)
	}
}

func TestGardenStaysInItsFrame(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 10, 36, 500} {
		rows := make([]workerRow, n)
		for i := range rows {
			rows[i] = workerRow{Name: "w", Status: "online", Active: i, Concurrency: i * 7}
		}
		g := newGarden(rows)
		if len(g.Umbellets)+g.More != n || g.Online != n {
			t.Errorf("%d workers: %d shown, %d more", n, len(g.Umbellets), g.More)
		}
		for _, u := range g.Umbellets {
			if len(u.Florets) == 0 || len(u.Florets) > maxFlorets {
				t.Errorf("%d florets", len(u.Florets))
			}
			for _, f := range u.Florets {
				if f.X-f.R < 54 || f.X+f.R > 346 || f.Y-f.R < 6 || f.Y > 236 {
					t.Errorf("%d workers: a floret at %v, %v", n, f.X, f.Y)
				}
			}
		}
	}
}

func TestAnswersMayBeAnything(t *testing.T) {
	for _, raw := range []string{``, `null`, `[]`, `"x"`, `{"pool": 3}`, `{"pool": {"max-concurrency": "N/A"}}`, `[[]]`, `[{"request": 4}]`, `{broken`} {
		answers := map[string]protocol.Raw{}
		for _, method := range monitor.InspectMethods {
			answers[method] = protocol.Raw(raw)
		}
		d := &workerPage{}
		d.fill(&monitor.Worker{Inspect: monitor.Inspect{At: now, Answers: answers}}, now)
		if d.Row.Concurrency != 0 {
			t.Errorf("%s: concurrency %d", raw, d.Row.Concurrency)
		}
	}
}

func TestFollowPassesChangesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := web.NewHub()
		streams := make(chan chan monitor.Change, 8)
		ended := 0
		changes := func() (<-chan monitor.Change, func()) {
			stream := make(chan monitor.Change)
			streams <- stream
			return stream, func() { ended++ }
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); Follow(ctx, changes, hub) }()
		first := <-streams
		first <- monitor.Change{TaskID: "x", Worker: "w"}
		close(first) // as if this reader had fallen behind
		second := <-streams
		second <- monitor.Change{Worker: "w"}
		cancel()
		<-done
		if ended != 2 {
			t.Errorf("%d streams ended", ended)
		}
	})
}
