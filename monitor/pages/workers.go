package pages

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// workerRow is one worker of a table.
type workerRow struct {
	Name                                  string
	Status                                string // "online", "stale" or "offline"
	Tone                                  string
	Active                                int
	ActiveKnown                           bool // Python's count can fall below 0: then it is unknown
	Concurrency                           int  // 0 when it never answered
	Processed, Failed, Succeeded, Retried int64
	Load1                                 string // load averages, "" when unknown
	Queues                                []string
	LastSeen                              time.Time
	Software                              string
}

// Load is how much of its slots a worker uses, 0 to 1.
func (w workerRow) Load() float64 {
	if w.Active <= 0 {
		return 0
	}
	return min(1, float64(w.Active)/float64(max(w.Concurrency, 1)))
}

// Meter is Load in hundredths, for a bar.
func (w workerRow) Meter() int { return int(100*w.Load() + 0.5) }

type workerTable struct {
	Rows []workerRow
	Sum  workerRow
}

func newWorkerTable(workers []monitor.Worker) workerTable {
	var t workerTable
	for i := range workers {
		row := newWorkerRow(&workers[i])
		t.Rows = append(t.Rows, row)
		if row.ActiveKnown {
			t.Sum.Active += row.Active
		}
		t.Sum.Processed += row.Processed
		t.Sum.Failed += row.Failed
		t.Sum.Succeeded += row.Succeeded
		t.Sum.Retried += row.Retried
	}
	order := []string{"online", "stale", "offline"}
	slices.SortStableFunc(t.Rows, func(a, b workerRow) int {
		if d := slices.Index(order, a.Status) - slices.Index(order, b.Status); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return t
}

func newWorkerRow(w *monitor.Worker) workerRow {
	a := answersOf(w.Inspect)
	row := workerRow{
		Name:        w.Hostname,
		Status:      status(w),
		Active:      int(protocol.Float(w.Active)),
		Concurrency: a.concurrency(),
		Processed:   w.Count(protocol.EventTaskReceived),
		Failed:      w.Count(protocol.EventTaskFailed),
		Succeeded:   w.Count(protocol.EventTaskSucceeded),
		Retried:     w.Count(protocol.EventTaskRetried),
		Queues:      a.queueNames(),
		LastSeen:    moment(w.LastSeen()),
		Software:    strings.TrimSpace(w.SwIdent + " " + w.SwVer),
	}
	row.Tone = map[string]string{"online": "good", "stale": "warn"}[row.Status]
	if row.Tone == "" {
		row.Tone = "idle"
	}
	row.ActiveKnown = w.Online && w.Active != "" && row.Active >= 0
	if w.Online {
		row.Load1 = loadAverages(w.Loadavg)
	}
	return row
}

// status is what pages say of a worker: stale is online by our rule and silent
// by Celery's.
func status(w *monitor.Worker) string {
	switch {
	case !w.Online:
		return "offline"
	case !w.Alive:
		return "stale"
	}
	return "online"
}

func loadAverages(raw protocol.Raw) string {
	if len(raw) == 0 {
		return ""
	}
	v, err := protocol.Decode(raw)
	list, ok := v.([]any)
	if err != nil || !ok {
		return ""
	}
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = text(x)
	}
	return strings.Join(texts, " ")
}

type workersPage struct {
	frame
	Workers workerTable
	Filter  string // what names must hold
	Status  string
	Counts  map[string]int
	All     int
	Chips   []chip
}

// chip is one choice of a filter.
type chip struct {
	Title   string // a state as it is, else English
	Href    string
	Count   int
	Counted bool
	Current bool
}

func (p *pages) workers(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	d := &workersPage{frame: p.frame(r), Filter: r.URL.Query().Get("name"), Status: r.URL.Query().Get("status"), Counts: map[string]int{}}
	p.refreshed(r, &d.frame, "")
	workers, err := p.Source.Workers(ctx, d.Broker, false)
	d.failed(ctx, "workers", err)
	d.All = len(workers)
	kept := workers[:0:0]
	for i := range workers {
		s := status(&workers[i])
		d.Counts[s]++
		if (d.Status == "" || s == d.Status) && strings.Contains(strings.ToLower(workers[i].Hostname), strings.ToLower(d.Filter)) {
			kept = append(kept, workers[i])
		}
	}
	d.Workers = newWorkerTable(kept)
	d.Chips = append(d.Chips, chip{Title: "All", Href: web.Query(r, "status", ""), Count: d.All, Counted: true, Current: d.Status == ""})
	for _, s := range []string{"online", "stale", "offline"} {
		d.Chips = append(d.Chips, chip{Title: strings.ToUpper(s[:1]) + s[1:], Href: web.Query(r, "status", s),
			Count: d.Counts[s], Counted: true, Current: d.Status == s})
	}
	p.Renderer.Render(w, r, http.StatusOK, "workers.html", d)
}
