package client_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// described is a canvas as testdata/canvas_peer.py reads it.
type described struct {
	Kind      string         `json:"kind"`
	Name      string         `json:"name,omitempty"`
	Args      []any          `json:"args,omitempty"`
	Kwargs    map[string]any `json:"kwargs,omitempty"`
	Items     [][]int        `json:"items,omitempty"`
	N         int            `json:"n,omitempty"`
	Tasks     []described    `json:"tasks,omitempty"`
	Body      *described     `json:"body,omitempty"`
	Options   map[string]any `json:"options,omitempty"`
	Immutable bool           `json:"immutable,omitempty"`
	Link      []described    `json:"link,omitempty"`
	LinkError []described    `json:"link_error,omitempty"`
	Stamps    map[string]any `json:"stamps,omitempty"`
}

// canvasCase is one canvas and what it is applied with.
type canvasCase struct {
	Canvas  described      `json:"canvas"`
	Args    []any          `json:"args"`
	Options map[string]any `json:"options"`
}

func (c canvasCase) String() string {
	data, _ := json.Marshal(c)
	return string(data)
}

// build makes the signature with the client's API.
func (d described) build() protocol.Signature {
	members := make([]protocol.Signature, len(d.Tasks))
	for i, m := range d.Tasks {
		members[i] = m.build()
	}
	sig := map[string]func() protocol.Signature{
		"task":    func() protocol.Signature { return client.Task(d.Name, d.Args...) },
		"chain":   func() protocol.Signature { return client.Chain(members...) },
		"group":   func() protocol.Signature { return client.Group(members...) },
		"chord":   func() protocol.Signature { return client.Chord(members, d.Body.build()) },
		"map":     func() protocol.Signature { return client.Map(d.Name, d.Items) },
		"starmap": func() protocol.Signature { return client.Starmap(d.Name, d.Items) },
		"chunks":  func() protocol.Signature { return client.Chunks(d.Name, d.Items, d.N) },
	}[d.Kind]()
	var opts []client.Option
	for name, v := range d.Kwargs {
		opts = append(opts, client.Kwarg(name, v))
	}
	opts = append(opts, optionsOf(d.Options)...)
	if d.Immutable {
		opts = append(opts, client.Immutable())
	}
	for _, l := range d.Link {
		opts = append(opts, client.Link(l.build()))
	}
	for _, l := range d.LinkError {
		opts = append(opts, client.LinkError(l.build()))
	}
	for name, v := range d.Stamps {
		opts = append(opts, client.Stamp(name, v))
	}
	return client.With(sig, opts...)
}

// optionsOf uses the client's own options where there is one.
func optionsOf(options map[string]any) []client.Option {
	var opts []client.Option
	for name, v := range options {
		opts = append(opts, optionOf(name, v))
	}
	return opts
}

func optionOf(name string, v any) client.Option {
	seconds := func() time.Duration { return time.Duration(v.(int)) * time.Second }
	switch name {
	case "task_id":
		return client.ID(v.(string))
	case "queue":
		return client.Queue(v.(string))
	case "priority":
		return client.Priority(v.(int))
	case "countdown":
		return client.Countdown(seconds())
	case "expires":
		if _, number := v.(int); number {
			return client.ExpiresIn(seconds())
		}
	case "retries":
		return client.Retries(v.(int))
	case "shadow":
		return client.Shadow(v.(string))
	case "argsrepr":
		return client.ReprArgs(v.(string))
	case "kwargsrepr":
		return client.ReprKwargs(v.(string))
	case "compression":
		return client.Compression(v.(string))
	case "serializer":
		return client.Serializer(v.(string))
	case "headers":
		for name, value := range v.(map[string]any) {
			return client.Header(name, value)
		}
	}
	return client.Set(name, v)
}

// generator makes canvases that Celery takes and whose outcome is certain.
type generator struct {
	*rand.Rand
	names int
}

func (g *generator) oneIn(n int) bool { return g.IntN(n) == 0 }

func (g *generator) canvasCase() canvasCase {
	c := canvasCase{Canvas: g.canvas(4), Args: []any{}, Options: map[string]any{}}
	if g.oneIn(3) {
		c.Args = []any{"arg"}
	}
	if g.oneIn(3) {
		c.Options = g.options(true)
	}
	for _, name := range []string{"link", "link_error"} {
		if g.oneIn(12) {
			c.Options[name] = map[string]any{"task": g.name(), "args": []any{}, "kwargs": map[string]any{}, "options": map[string]any{}, "subtask_type": nil, "immutable": false}
		}
	}
	return c
}

func (g *generator) canvas(depth int) described {
	if depth == 0 || g.oneIn(3) {
		return g.task()
	}
	var d described
	switch g.IntN(10) {
	case 0, 1, 2:
		d = described{Kind: "chain", Tasks: g.members(depth, 1, 4)}
	case 3, 4, 5:
		d = described{Kind: "group", Tasks: g.members(depth, 1, 4)}
	case 6, 7, 8:
		body := g.canvas(depth - 1)
		d = described{Kind: "chord", Tasks: g.members(depth, 1, 3), Body: &body}
	default:
		d = described{Kind: []string{"map", "starmap", "chunks"}[g.IntN(3)], Name: g.name(), N: 2, Items: [][]int{{1, 2}, {3, 4}, {5, 6}}}
	}
	if d.Kind != "group" && g.oneIn(6) {
		d.Options = g.options(true)
	}
	if depth > 2 && g.oneIn(8) {
		d.Stamps = map[string]any{"stamp": []any{"s1", "s2", 7}[g.IntN(3)]}
	}
	g.links(&d)
	return d
}

func (g *generator) members(depth, least, most int) []described {
	tasks := make([]described, least+g.IntN(most-least+1))
	for i := range tasks {
		tasks[i] = g.canvas(depth - 1)
	}
	return tasks
}

func (g *generator) name() string {
	g.names++
	return fmt.Sprintf("t%d", g.names)
}

func (g *generator) task() described {
	d := described{Kind: "task", Name: g.name()}
	if g.oneIn(3) {
		d.Args = []any{g.IntN(100), "x"}
	}
	if g.oneIn(5) {
		d.Kwargs = map[string]any{"k": 1.5}
	}
	d.Immutable = g.oneIn(6)
	if g.oneIn(4) {
		d.Options = g.options(false)
	}
	if g.oneIn(12) {
		d.Stamps = map[string]any{"own": "o"}
	}
	g.links(&d)
	return d
}

func (g *generator) links(d *described) {
	if g.oneIn(10) {
		d.Link = []described{{Kind: "task", Name: g.name()}}
		if d.Kind == "task" && g.oneIn(3) {
			d.Link = append(d.Link, described{Kind: "chain", Tasks: []described{{Kind: "task", Name: g.name()}, {Kind: "task", Name: g.name()}}})
		}
	}
	if g.oneIn(8) {
		d.LinkError = []described{{Kind: "task", Name: g.name()}}
	}
}

// options are a few random ones; those of a composite leave out what each of its
// tasks would share.
func (g *generator) options(composite bool) map[string]any {
	all := map[string]any{
		"queue": "q1", "priority": 5, "countdown": 30, "headers": map[string]any{"h": "v"}, "expires": 120,
		"time_limit": 20, "soft_time_limit": 10, "ignore_result": g.oneIn(2), "compression": "zlib", "serializer": "json",
	}
	if !composite {
		for name, v := range map[string]any{
			"task_id": "", "eta": "2026-02-01T10:00:00+00:00", "expires": "2026-02-02T10:00:00.500000+00:00",
			"shadow": "shade", "retries": 2, "argsrepr": "(hidden)", "kwargsrepr": "{hidden}", "x_unknown": 1,
			"delivery_mode": 1, "reply_to": "answers",
		} {
			all[name] = v
		}
		all["task_id"] = fmt.Sprintf("%08x-0000-4000-8000-000000000000", g.Uint32())
	}
	names := []string{"queue", "priority", "countdown", "headers", "expires", "time_limit", "soft_time_limit", "ignore_result",
		"compression", "serializer", "task_id", "eta", "shadow", "retries", "argsrepr", "kwargsrepr", "x_unknown", "delivery_mode", "reply_to"}
	out := map[string]any{}
	for range 1 + g.IntN(3) {
		name := names[g.IntN(len(names))]
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	return out
}
