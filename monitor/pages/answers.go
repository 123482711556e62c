package pages

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// answers reads a worker's replies to inspect. They come from any version of
// Celery, so everything is optional and of any type.
type answers struct {
	stats   protocol.Object
	decoded map[string]any
}

func answersOf(in monitor.Inspect) answers {
	a := answers{decoded: map[string]any{}}
	for method, raw := range in.Answers {
		if v, err := protocol.Decode(raw); err == nil { // an unreadable reply is a missing one
			a.decoded[method] = v
		}
	}
	a.stats, _ = a.decoded["stats"].(protocol.Object)
	return a
}

func (a answers) known() bool { return len(a.decoded) > 0 }

func member(o protocol.Object, name string) protocol.Object {
	v, _ := o.Get(name)
	child, _ := v.(protocol.Object)
	return child
}

func (a answers) concurrency() int {
	v, _ := member(a.stats, "pool").Get("max-concurrency")
	return int(protocol.Float(v))
}

func (a answers) objects(method string) []protocol.Object {
	list, _ := a.decoded[method].([]any)
	var out []protocol.Object
	for _, v := range list {
		if o, ok := v.(protocol.Object); ok {
			out = append(out, o)
		}
	}
	return out
}

func (a answers) strings(method string) []string {
	list, _ := a.decoded[method].([]any)
	var out []string
	for _, v := range list {
		out = append(out, text(v))
	}
	return out
}

func (a answers) queueNames() []string {
	var names []string
	for _, q := range a.objects("active_queues") {
		names = append(names, q.String("name"))
	}
	return names
}

// held is a task that a worker has in hand.
type held struct {
	ID, Name, Args, Kwargs string
	PID                    string
	Acknowledged           bool
	Started                time.Time
	ETA                    string
}

func (a answers) held(method string) []held {
	var out []held
	for _, o := range a.objects(method) {
		h := held{ETA: o.String("eta")}
		if request := member(o, "request"); request != nil { // "scheduled" wraps the task
			o = request
		}
		get := func(name string) any { v, _ := o.Get(name); return v }
		h.ID, h.Name = o.String("id"), o.String("name")
		h.Args, h.Kwargs = literal(get("args")), literal(get("kwargs"))
		h.PID = text(get("worker_pid"))
		h.Acknowledged, _ = get("acknowledged").(bool)
		h.Started = moment(protocol.Float(get("time_start")))
		out = append(out, h)
	}
	return out
}

// literal shows arguments: a repr as it came, plain values as JSON.
func literal(v any) string {
	if s, ok := v.(string); ok || v == nil {
		return s
	}
	raw, err := protocol.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// fact is one line of a table of facts.
type fact struct{ Name, Value string }

// facts flattens an object: members that hold objects are left out, since they
// have a table of their own.
func facts(o protocol.Object, without ...string) []fact {
	var out []fact
	for _, f := range o.Without(without...) {
		if f.Value == nil {
			continue
		}
		if _, nested := f.Value.(protocol.Object); nested {
			continue
		}
		out = append(out, fact{Name: f.Name, Value: text(f.Value)})
	}
	return out
}

// text shows a decoded value: strings as they are, lists with commas, objects
// as JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = text(x)
		}
		return strings.Join(parts, ", ")
	}
	return literal(v)
}
