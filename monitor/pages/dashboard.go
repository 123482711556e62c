package pages

import (
	"net/http"
	"time"

	"github.com/umbel-go/umbel/monitor"
)

// recentTasks is how many tasks the dashboard lists.
const recentTasks = 10

type dashboardPage struct {
	frame
	Stats   monitor.Stats
	Queued  int
	Oldest  time.Duration // age of the oldest waiting message, 0 when unknown
	Mix     []slice
	Workers workerTable
	Garden  garden
	Queues  []monitor.Queue
	Recent  taskTable
}

func (p *pages) dashboard(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	d := &dashboardPage{frame: p.frame(r)}
	p.refreshed(r, &d.frame, "")
	var err error
	d.Stats, err = p.Source.Stats(ctx, d.Broker)
	d.failed(ctx, "totals", err)
	d.Mix = mixOf(d.Stats)
	workers, err := p.Source.Workers(ctx, d.Broker, false)
	d.failed(ctx, "workers", err)
	d.Workers = newWorkerTable(workers)
	d.Garden = newGarden(d.Workers.Rows)
	d.Queues, err = p.Source.Queues(ctx, d.Broker)
	d.failed(ctx, "queues", err)
	for _, q := range d.Queues {
		d.Queued += q.Ready
		d.Oldest = max(d.Oldest, q.OldestAge)
	}
	found, err := p.Source.Tasks(ctx, monitor.Query{Broker: d.Broker, Limit: recentTasks})
	d.failed(ctx, "tasks", err)
	d.Recent = newTaskTable([]string{"name", "uuid", "state", "received", "runtime", "worker"}, found.Tasks)
	p.Renderer.Render(w, r, http.StatusOK, "dashboard.html", d)
}

// refreshed asks workers anew when the reader wants it (?refresh=1).
func (p *pages) refreshed(r *http.Request, f *frame, worker string) {
	if truthy(r.URL.Query().Get("refresh")) {
		f.failed(r.Context(), "refresh", p.Source.Refresh(r.Context(), f.Broker, worker))
	}
}

// slice is one part of a bar that is 1000 units wide.
type slice struct {
	Title string
	Tone  string
	Query string // state to look at
	N     int
	X, W  float64
}

// mixOf splits what was processed by state.
func mixOf(s monitor.Stats) []slice {
	parts := []slice{
		{Title: "Succeeded", Tone: "good", Query: "SUCCESS", N: s.Succeeded},
		{Title: "Failed", Tone: "bad", Query: "FAILURE", N: s.Failed},
		{Title: "Retried", Tone: "warn", Query: "RETRY", N: s.Retried},
		{Title: "Active", Tone: "run", Query: "STARTED", N: s.Active},
		{Title: "Received", Tone: "info", Query: "RECEIVED", N: s.Received},
	}
	total := 0
	for _, part := range parts {
		total += max(part.N, 0)
	}
	if total == 0 {
		return nil
	}
	x := 0.0
	for i := range parts {
		parts[i].X = x
		parts[i].W = 1000 * float64(max(parts[i].N, 0)) / float64(total)
		x += parts[i].W
	}
	return parts
}
