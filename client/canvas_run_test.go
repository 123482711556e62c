package client_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

const canvasLimit = 400 // messages of one case, as in canvas_peer.py

// sent is a message as canvas_peer.py tells it.
type sent struct {
	Headers    map[string]any `json:"headers"`
	Body       []any          `json:"body"`
	Priority   any            `json:"priority"`
	Properties map[string]any `json:"properties"`
	Exchange   string         `json:"exchange"`
	RoutingKey string         `json:"routing_key"`
}

// told is what applying a canvas sends, first of all and when its tasks succeed.
type told struct {
	Error    string  `json:"error"`
	Lost     bool    `json:"lost"` // a chord waits for ever
	Messages []sent  `json:"messages"`
	First    int     `json:"first"`
	Result   any     `json:"result"`
	Sizes    [][]any `json:"sizes"`
	Groups   []any   `json:"groups"`
}

// canvasRun applies a signature and lets every task that it sends succeed with
// "r0", "r1" and so on.
type canvasRun struct {
	tasks  []*protocol.Task
	out    told
	values map[string]any
	parts  map[string][]*protocol.Task
	sizes  map[string]int
	groups map[string]protocol.Tuple
}

func runCanvas(sig protocol.Signature, args []any, opts protocol.Object) told {
	r := &canvasRun{
		values: map[string]any{}, parts: map[string][]*protocol.Task{}, sizes: map[string]int{}, groups: map[string]protocol.Tuple{},
	}
	if err := r.run(sig, args, opts); err != nil {
		return told{Error: err.Error()}
	}
	return r.out
}

func (r *canvasRun) run(sig protocol.Signature, args []any, opts protocol.Object) error {
	plan, err := r.apply(sig, args, opts, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plan.Result, &r.out.Result); err != nil {
		return err
	}
	r.out.First = len(r.tasks)
	for i := 0; i < len(r.tasks) && len(r.tasks) < canvasLimit; i++ {
		if err := r.complete(i); err != nil {
			return err
		}
	}
	for g, parts := range r.parts {
		if len(parts) < r.sizes[g] && len(r.tasks) < canvasLimit {
			r.out.Lost = true
		}
	}
	return nil
}

const replyTo = "0fd0e44d-4a62-3a0e-9d3e-6f5a0a4c6f1b"

func (r *canvasRun) apply(sig protocol.Signature, args []any, opts protocol.Object, parent *protocol.Task) (protocol.Plan, error) {
	env := protocol.Env{
		NewID: uuid.NewString, Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Origin: "gen1@host", ReplyTo: replyTo,
	}
	if parent != nil {
		env.RootID, env.ParentID = parent.RootID, parent.ID
	}
	plan, err := protocol.Apply(sig, args, opts, env)
	if err != nil {
		return plan, err
	}
	for _, g := range plan.Groups {
		r.groups[g.ID] = g.Tuple
		var v any
		if err := json.Unmarshal(g.Tuple.Raw(), &v); err != nil {
			return plan, err
		}
		r.out.Groups = append(r.out.Groups, v)
	}
	for _, c := range plan.Chords {
		r.sizes[c.Group] = c.Size
		r.out.Sizes = append(r.out.Sizes, []any{c.Group, float64(c.Size)})
	}
	for _, s := range plan.Sends {
		if err := r.publish(s); err != nil {
			return plan, err
		}
	}
	return plan, nil
}

// publish writes the message and keeps what its receiver reads.
func (r *canvasRun) publish(s protocol.Send) error {
	plain := *s.Task
	plain.Serializer, plain.Compression = "", ""
	m, err := plain.Encode()
	if err != nil {
		return err
	}
	var out sent
	headers, err := protocol.Marshal(m.Headers)
	if err == nil {
		err = json.Unmarshal(headers, &out.Headers)
	}
	if err == nil {
		err = json.Unmarshal(m.Body, &out.Body)
	}
	if err != nil {
		return err
	}
	if s.Task.Compression != "" {
		out.Headers["compression"] = "application/x-gzip" // of the only one in use
	}
	out.Priority = float64(0)
	if p := m.Properties.Priority; p != nil {
		out.Priority = float64(*p)
	}
	out.Properties = map[string]any{
		"correlation_id": m.Properties.CorrelationID, "reply_to": m.Properties.ReplyTo,
		"delivery_mode": float64(m.Properties.DeliveryMode), "expiration": nil,
	}
	if e := m.Properties.Expiration; e != "" {
		out.Properties["expiration"] = e
	}
	out.Exchange, out.RoutingKey = s.Exchange, s.RoutingKey
	if s.Exchange == "" {
		if out.RoutingKey = s.Queue; s.Queue == "" {
			out.RoutingKey = client.DefaultQueue
		}
	}
	if m.Headers, err = protocol.DecodeObject(headers); err != nil {
		return err
	}
	task, err := protocol.DecodeTask(m)
	if err != nil {
		return err
	}
	r.tasks, r.out.Messages = append(r.tasks, task), append(r.out.Messages, out)
	return nil
}

// complete sends what a worker sends when a task has succeeded.
func (r *canvasRun) complete(number int) error {
	t := r.tasks[number]
	value := fmt.Sprintf("r%d", number)
	r.values[t.ID] = value
	place := protocol.Object{{Name: "root_id", Value: t.RootID}, {Name: "parent_id", Value: t.ID}}
	for _, c := range callbacks(t.Callbacks) {
		if _, err := r.apply(c, []any{value}, place, t); err != nil {
			return err
		}
	}
	if n := len(t.Chain); n > 0 {
		opts := append(slices.Clone(place), protocol.Field{Name: "chain", Value: t.Chain[:n-1]})
		if _, err := r.apply(t.Chain[n-1], []any{value}, opts, t); err != nil {
			return err
		}
	}
	return r.join(t)
}

// callbacks are the groups among them and one group of the others.
func callbacks(sigs []protocol.Signature) []protocol.Signature {
	if len(sigs) < 2 {
		return sigs
	}
	var groups, rest []protocol.Signature
	for _, s := range sigs {
		if s.SubtaskType == protocol.SubtaskGroup {
			groups = append(groups, s)
		} else {
			rest = append(rest, s)
		}
	}
	if len(rest) > 0 {
		groups = append(groups, client.Group(rest...))
	}
	return groups
}

// join is the part of a chord that a finished task is.
func (r *canvasRun) join(t *protocol.Task) error {
	if t.Chord == nil || t.Group == "" {
		return nil
	}
	parts := append(r.parts[t.Group], t)
	r.parts[t.Group] = parts
	if len(parts) != r.sizes[t.Group] {
		return nil
	}
	slices.SortStableFunc(parts, func(a, b *protocol.Task) int { return *a.GroupIndex - *b.GroupIndex })
	values := make([]any, len(parts))
	for i, p := range parts {
		values[i] = r.values[p.ID]
	}
	if g, saved := r.groups[t.Group]; saved {
		values = r.value(g).([]any)
	}
	_, err := r.apply(*t.Chord, []any{values}, nil, t)
	return err
}

func (r *canvasRun) value(t protocol.Tuple) any {
	if !t.Group {
		v, ok := r.values[t.ID]
		r.out.Lost = r.out.Lost || !ok
		return v
	}
	list := []any{}
	for _, m := range t.Members {
		list = append(list, r.value(m))
	}
	return list
}
