// Package pages draws the monitor for people: Dashboard, Workers, Tasks and
// Broker, at the addresses that Flower has them. It asks a Source and never the
// broker, so that a page is quick, and shows what was last known while the
// broker is away.
package pages

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
)

// Source answers what the pages ask; *monitor.Monitor is one.
type Source interface {
	Brokers() []monitor.BrokerStatus
	Stats(ctx context.Context, broker string) (monitor.Stats, error)
	StateCounts(broker string) map[string]int
	Queues(ctx context.Context, broker string) ([]monitor.Queue, error)
	Workers(ctx context.Context, broker string, all bool) ([]monitor.Worker, error)
	Worker(ctx context.Context, broker, hostname string) (w monitor.Worker, ok bool, err error)
	Refresh(ctx context.Context, broker, hostname string) error
	Tasks(ctx context.Context, q monitor.Query) (monitor.TaskPage, error)
	Task(ctx context.Context, broker, id string) (t monitor.Task, ok bool, err error)
}

// Config says what the pages show. Source and Renderer are required.
type Config struct {
	Source   Source
	Renderer *web.Renderer
	// WorkersJSON answers /, /dashboard and /workers with ?json=1 in Flower's
	// shape; nil leaves these without.
	WorkersJSON http.Handler
	// TasksColumns are the columns of the task table in their order, separated
	// by commas, or "all" (Flower's tasks_columns); "" is DefaultColumns.
	TasksColumns string
	// BrokerURL is the address that examples give to Python. It may hold a
	// password: only operators see it. Others, and everybody where it is "",
	// see the source's own, without password.
	BrokerURL string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

type pages struct {
	Config
	columns []string
}

// Routes returns the routes of all pages. It fails when TasksColumns names a
// column that does not exist.
func Routes(c Config) ([]web.Route, error) {
	columns, err := parseColumns(c.TasksColumns)
	if err != nil {
		return nil, fmt.Errorf("monitor pages: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &pages{Config: c, columns: columns}
	page := func(path string, h http.HandlerFunc) web.Route {
		return web.Route{Path: path, Access: web.Page, Handler: h}
	}
	return []web.Route{
		page("/", p.orJSON(p.dashboard)),
		page("/dashboard", p.orJSON(p.dashboard)),
		page("/workers", p.orJSON(p.workers)),
		page("/worker/{name:.+}", p.worker),
		page("/tasks", p.tasks),
		page("/task/{id:.+}", p.task),
		page("/broker", p.broker),
	}, nil
}

// Nav returns the entries of the page header.
func Nav() []web.Nav {
	return []web.Nav{
		{Title: "Dashboard", Path: "/", Order: 10},
		{Title: "Workers", Path: "/workers", Order: 20},
		{Title: "Tasks", Path: "/tasks", Order: 30},
		{Title: "Broker", Path: "/broker", Order: 40},
	}
}

// orJSON hands ?json=1 over to Flower's JSON.
func (p *pages) orJSON(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.WorkersJSON != nil && truthy(r.URL.Query().Get("json")) {
			p.WorkersJSON.ServeHTTP(w, r)
			return
		}
		page(w, r)
	}
}

// truthy reads a boolean parameter as Flower does.
func truthy(s string) bool {
	switch s {
	case "1", "t", "T", "y", "Y", "true", "True", "TRUE", "yes", "Yes", "on", "On":
		return true
	}
	return false
}

// frame is what the data of every page begins with.
type frame struct {
	Broker  string // name of the broker asked about, "" is the first
	Address string // of the broker, without password
	Teach   teach
	notices []web.Notice
}

// teach is what examples for Python need.
type teach struct{ Broker, Backend string }

// Notices are the banners of the page.
func (f *frame) Notices() []web.Notice { return f.notices }

// recent is how long a past gap is told about.
const recent = 10 * time.Minute

func (p *pages) frame(r *http.Request) frame {
	f := frame{Broker: r.URL.Query().Get("broker")}
	now := p.Now()
	for i, b := range p.Source.Brokers() {
		if (f.Broker == "" && i == 0) || b.Name == f.Broker {
			f.Address, f.Teach = b.URL, p.teach(b, web.Operator(r))
		}
		f.notices = append(f.notices, noticesOf(b, now)...)
	}
	return f
}

func noticesOf(b monitor.BrokerStatus, now time.Time) []web.Notice {
	if !b.Connected {
		detail := b.URL
		if !b.Since.IsZero() {
			detail += " · " + b.Since.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		if b.Error != "" {
			detail += " · " + b.Error
		}
		return []web.Notice{{Tone: "bad", Text: "The broker cannot be reached. This is what was last known; the monitor keeps trying.", Detail: detail}}
	}
	if n := len(b.Gaps); n > 0 {
		if gap := b.Gaps[n-1]; gap.To.IsZero() || now.Sub(gap.To) < recent {
			return []web.Notice{{Tone: "warn", Text: "Some events were missed a moment ago.", Detail: gapDetail(gap)}}
		}
	}
	return nil
}

func gapDetail(g monitor.Gap) string {
	const clock = "15:04:05"
	detail := g.From.UTC().Format(clock) + " – "
	if !g.To.IsZero() {
		detail += g.To.UTC().Format(clock)
	}
	return detail + " UTC: " + g.Reason
}

func (p *pages) teach(b monitor.BrokerStatus, operator bool) teach {
	t := teach{Broker: b.URL}
	if operator && p.BrokerURL != "" {
		t.Broker = p.BrokerURL
	}
	t.Backend = t.Broker
	if b.Transport == "amqp" {
		t.Backend = "rpc://"
	}
	return t
}

// failed notes that a part of the page could not be had; the rest is shown.
func (f *frame) failed(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	slog.WarnContext(ctx, "page lacks a part", "part", what, "error", err)
	f.notices = append(f.notices, web.Notice{Tone: "bad", Text: "A part of this page could not be read.", Detail: what + ": " + err.Error()})
}
