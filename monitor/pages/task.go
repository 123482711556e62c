package pages

import (
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/state"
)

type taskPage struct {
	frame
	Task     *taskView
	Children []string
	Bars     []span
	Moments  []step
}

// step is one event in a task's life.
type step struct {
	State string
	At    time.Time
	After time.Duration // since the first
}

// span is one bar of the timeline, which is 1000 units wide.
type span struct {
	Title, Tone string
	Length      time.Duration
	Open        bool // it lasts until now
	X, W        float64
}

func (p *pages) task(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	d := &taskPage{frame: p.frame(r)}
	id := mux.Vars(r)["id"]
	found, ok, err := p.Source.Task(ctx, d.Broker, id)
	switch {
	case err != nil:
		d.failed(ctx, "task", err)
		d.Task = newTaskView(&state.Task{UUID: id})
		p.Renderer.Render(w, r, http.StatusInternalServerError, "task.html", d)
	case !ok:
		p.Renderer.Error(w, r, http.StatusNotFound, "Unknown task '"+id+"'")
	default:
		d.fill(found, p.Now())
		p.Renderer.Render(w, r, http.StatusOK, "task.html", d)
	}
}

func (d *taskPage) fill(t monitor.Task, now time.Time) {
	d.Task, d.Children = newTaskView(t.Task), t.Children
	d.Bars = timeline(d.Task, now)
	for _, s := range []struct {
		state string
		at    float64
	}{
		{"SENT", t.Sent}, {state.Received, t.Received}, {state.Started, t.Started}, {state.Retry, t.Retried},
		{state.Rejected, t.Rejected}, {state.Revoked, t.Revoked}, {state.Failure, t.Failed}, {state.Success, t.Succeeded},
	} {
		if at := moment(s.at); !at.IsZero() {
			d.Moments = append(d.Moments, step{State: s.state, At: at})
		}
	}
	slices.SortStableFunc(d.Moments, func(a, b step) int { return a.At.Compare(b.At) })
	for i := range d.Moments {
		d.Moments[i].After = d.Moments[i].At.Sub(d.Moments[0].At)
	}
}

// timeline splits a task's life: waiting in the queue, waiting in the worker,
// running. Clocks of different machines may disagree; a span that would end
// before it began is left out.
func timeline(t *taskView, now time.Time) []span {
	end := t.EndedAt
	open := end.IsZero()
	if open {
		end = now
	}
	first := func(times ...time.Time) time.Time {
		for _, at := range times {
			if !at.IsZero() {
				return at
			}
		}
		return time.Time{}
	}
	run := "run"
	switch t.State {
	case state.Success:
		run = "good"
	case state.Failure:
		run = "bad"
	}
	var spans []span
	add := func(title, tone string, from, to time.Time, open bool) {
		if !from.IsZero() && to.After(from) {
			spans = append(spans, span{Title: title, Tone: tone, Length: to.Sub(from), Open: open})
		}
	}
	received := first(t.ReceivedAt, t.StartedAt, end)
	started := first(t.StartedAt, end)
	add("In the queue", "idle", t.SentAt, received, open && t.ReceivedAt.IsZero())
	add("In the worker’s hands", "info", t.ReceivedAt, started, open && t.StartedAt.IsZero())
	add("Running", run, t.StartedAt, end, open)
	return laidOut(spans)
}

// laidOut gives every span a width in proportion, and none too thin to see.
func laidOut(spans []span) []span {
	const least = 6.0
	var total time.Duration
	for _, s := range spans {
		total += s.Length
	}
	room := 1000 - least*float64(len(spans))
	x := 0.0
	for i := range spans {
		spans[i].X = round(x)
		spans[i].W = round(least + room*float64(spans[i].Length)/float64(total))
		x += spans[i].W
	}
	return spans
}
