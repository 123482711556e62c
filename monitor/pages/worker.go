package pages

import (
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

type workerPage struct {
	frame
	Row        workerRow
	PID        int
	System     string
	Since      time.Time // start, from its uptime
	AnsweredAt time.Time
	Known      bool // it ever answered inspect
	Pool       []fact
	Prefetch   string
	Autoscaler []fact
	Queues     []consumed
	Registered []string
	Totals     []fact
	Active     []held
	Reserved   []held
	Scheduled  []held
	Revoked    []string
	BrokerInfo []fact
	Usage      []fact
	Settings   []fact
}

// consumed is a queue that a worker takes tasks from.
type consumed struct {
	Name, Exchange, RoutingKey string
	Durable, Exclusive         bool
}

func (p *pages) worker(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	d := &workerPage{frame: p.frame(r)}
	name := mux.Vars(r)["name"]
	found, ok, err := p.Source.Worker(ctx, d.Broker, name)
	if err == nil && (truthy(r.URL.Query().Get("refresh")) || (ok && found.Online && len(found.Inspect.Answers) == 0)) {
		d.failed(ctx, "refresh", p.Source.Refresh(ctx, d.Broker, name))
		found, ok, err = p.Source.Worker(ctx, d.Broker, name)
	}
	switch {
	case err != nil:
		d.failed(ctx, "worker", err)
		p.Renderer.Render(w, r, http.StatusInternalServerError, "worker.html", d)
	case !ok:
		p.Renderer.Error(w, r, http.StatusNotFound, "Unknown worker '"+name+"'")
	default:
		d.fill(&found, p.Now())
		p.Renderer.Render(w, r, http.StatusOK, "worker.html", d)
	}
}

func (d *workerPage) fill(w *monitor.Worker, now time.Time) {
	a := answersOf(w.Inspect)
	d.Row = newWorkerRow(w)
	d.PID, d.System = w.PID, w.SwSys
	d.Known, d.AnsweredAt = a.known(), w.Inspect.At
	if up, ok := a.stats.Get("uptime"); ok && !w.Inspect.At.IsZero() {
		d.Since = w.Inspect.At.Add(-time.Duration(protocol.Float(up) * float64(time.Second)))
	}
	if v, ok := a.stats.Get("prefetch_count"); ok {
		d.Prefetch = text(v)
	}
	d.Pool = facts(member(a.stats, "pool"))
	d.Autoscaler = facts(member(a.stats, "autoscaler"))
	d.BrokerInfo = facts(member(a.stats, "broker"))
	d.Usage = facts(member(a.stats, "rusage"))
	d.Totals = facts(member(a.stats, "total"))
	for _, q := range a.objects("active_queues") {
		c := consumed{Name: q.String("name"), RoutingKey: q.String("routing_key"), Exchange: member(q, "exchange").String("name")}
		durable, _ := q.Get("durable")
		exclusive, _ := q.Get("exclusive")
		c.Durable, _ = durable.(bool)
		c.Exclusive, _ = exclusive.(bool)
		d.Queues = append(d.Queues, c)
	}
	d.Registered, d.Revoked = a.strings("registered"), a.strings("revoked")
	d.Active, d.Reserved, d.Scheduled = a.held("active"), a.held("reserved"), a.held("scheduled")
	conf, _ := a.decoded["conf"].(protocol.Object)
	d.Settings = facts(conf)
}
