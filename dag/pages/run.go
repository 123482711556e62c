package pages

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/layout"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/protocol"
)

// maxDrawn is how many nodes a graph may have to be drawn; beyond it the table is
// clearer.
const maxDrawn = 400

// runData is what workflow_run.html draws.
type runData struct {
	Topic   string
	Run     *dag.Run
	Over    bool
	Took    float64
	Done    int
	Inputs  string
	RetData string
	Graph   template.HTML
	Nodes   []nodeRow
	History []store.HistoryEvent
}

type nodeRow struct {
	*dag.NodeRun
	Task    string
	Why     string
	Result  string
	Waited  span
	Ran     span
	Took    float64
	Started bool
}

// span is a part of a run's duration in thousandths, for a bar.
type span struct{ From, Width int }

func (p *pages) viewRun(run *dag.Run, history []store.HistoryEvent) runData {
	now := p.e.Now()
	d := runData{
		Topic: runTopic(run.ID), Run: run, Over: run.State.Terminal(), Took: run.Duration(now).Seconds(),
		Inputs: jsonText(run.Inputs), RetData: jsonText(run.RetData), History: history,
	}
	for _, i := range run.Plan().Order {
		n := &run.Nodes[i]
		if n.State == dag.NodeSucceeded || n.State == dag.NodeSkipped {
			d.Done++
		}
		row := nodeRow{
			NodeRun: n, Task: run.Def.Nodes[i].Task, Why: dag.Explain(run, i, p.e.Fleet()),
			Result: jsonText(n.Result), Started: !n.StartedAt.IsZero(),
		}
		if row.Started {
			row.Took = endOf(n, now).Sub(n.StartedAt).Seconds()
		}
		row.Waited = spanOf(run, now, n.ReadyAt, firstOf(n.StartedAt, endOf(n, now)))
		row.Ran = spanOf(run, now, n.StartedAt, endOf(n, now))
		d.Nodes = append(d.Nodes, row)
	}
	if len(run.Nodes) <= maxDrawn {
		d.Graph = graphOf(run)
	}
	return d
}

func endOf(n *dag.NodeRun, now time.Time) time.Time { return firstOf(n.EndedAt, now) }

// firstOf is the first of the times that is known.
func firstOf(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

func spanOf(run *dag.Run, now, from, to time.Time) span {
	total := run.Duration(now)
	if from.IsZero() || total <= 0 {
		return span{}
	}
	part := func(t time.Time) int {
		return min(1000, max(0, int(math.Round(1000*float64(t.Sub(run.Started))/float64(total)))))
	}
	return span{From: part(from), Width: max(0, part(to)-part(from))}
}

// jsonText is a value for reading, cut where it is long.
func jsonText(raw protocol.Raw) string {
	const most = 4000
	if len(raw) > most {
		return strings.ToValidUTF8(string(raw[:most]), "") + " …"
	}
	return string(raw)
}

// graphOf draws the run. What layout.SVG writes is escaped there.
func graphOf(run *dag.Run) template.HTML {
	g := layout.Graph{Nodes: make([]layout.Node, len(run.Nodes))}
	for i := range run.Nodes {
		n, spec := &run.Nodes[i], &run.Def.Nodes[i]
		look := web.Look(string(n.State))
		title := fmt.Sprintf("%s: %s, %s", n.Name, spec.Task, look.Word)
		if n.Reason != "" {
			title += ". " + n.Reason
		}
		g.Nodes[i] = layout.Node{
			ID: n.Name, Label: n.Name, Sub: look.Word + " · " + spec.Task, Icon: look.Icon,
			Class: "tone-" + look.Tone, Title: title, Href: "#node-" + n.Name,
		}
		for _, prev := range run.Plan().Prev[i] {
			g.Edges = append(g.Edges, layout.Edge{From: prev, To: i})
		}
	}
	return template.HTML(layout.SVG(g, run.Def.Name))
}
