package protocol

import (
	"fmt"
	"slices"
	"time"
)

// send turns a plain signature whose options are final into a task message.
func (c *canvas) send(n *node) (*outcome, error) {
	if n.text("task_id") == "" {
		n.set("task_id", c.env.NewID())
	}
	t, err := c.task(n)
	if err != nil {
		return nil, err
	}
	c.plan.Sends = append(c.plan.Sends, Send{
		Task: t, Queue: n.text("queue"), Exchange: n.text("exchange"), RoutingKey: n.text("routing_key"),
		RouteName: n.routeName(),
	})
	return &outcome{id: t.ID}, nil
}

// routeName looks into celery.map and celery.starmap, which only a worker that
// knows the inner task can run.
func (n *node) routeName() string {
	if n.task == TaskMap || n.task == TaskStarmap {
		v, _ := n.kwargs.Get("task")
		if inner, err := signatureOf(v); err == nil {
			return inner.Task
		}
	}
	return n.task
}

func (c *canvas) task(n *node) (*Task, error) {
	o := n.opts
	number := func(name string) float64 { return Float(decoded(o, name)) }
	t := &Task{
		Lang: "go", Name: n.task, ID: n.text("task_id"), Shadow: n.text("shadow"),
		Group: n.text("group_id"), GroupIndex: intOption(o, "group_index"),
		Retries: int(number("retries")),
		RootID:  n.text("root_id"), ParentID: n.text("parent_id"),
		ArgsRepr: n.text("argsrepr"), KwargsRepr: n.text("kwargsrepr"),
		Origin: c.env.Origin, ReplyTo: n.text("reply_to"),
		HardLimit: number("time_limit"), SoftLimit: number("soft_time_limit"),
		ReplacedTaskNesting: int(number("replaced_task_nesting")),
		Serializer:          n.text("serializer"), Compression: n.text("compression"),
		DeliveryMode: deliveryMode(decoded(o, "delivery_mode")),
		Priority:     intOption(o, "priority"),
		Version:      2,
	}
	t.CorrelationID = t.ID
	c.inherit(t)
	t.setIgnoreResult(o)
	if err := t.setArgs(n, c.env.LegacyValues); err != nil {
		return nil, err
	}
	if err := t.setTimes(o, c.env.Now); err != nil {
		return nil, err
	}
	t.setStamps(o)
	t.setUserHeaders(o)
	if err := t.setLinks(o); err != nil {
		return nil, err
	}
	t.FillReprs()
	return t, nil
}

// setIgnoreResult takes the option. Every Celery application knows the built-in
// tasks, and that their results are kept.
func (t *Task) setIgnoreResult(o Object) {
	ignore, given := decoded(o, "ignore_result").(bool)
	switch t.Name {
	case TaskMap, TaskStarmap, TaskChunks, TaskAccumulate, TaskGroup, TaskChord, TaskChain:
		given = true
	}
	if given {
		t.IgnoreResult = &ignore
	}
}

// inherit fills in what a task takes from the running task that sends it. It is
// its own root outside of one.
func (c *canvas) inherit(t *Task) {
	if t.RootID == "" {
		if t.RootID = c.env.RootID; t.RootID == "" {
			t.RootID = t.ID
		}
	}
	if t.ParentID == "" {
		t.ParentID = c.env.ParentID
	}
	if t.ReplyTo == "" {
		t.ReplyTo = c.env.ReplyTo
	}
}

// deliveryMode takes kombu's names as well; 0 is the default.
func deliveryMode(v any) int {
	switch v {
	case "transient":
		return Transient
	case "persistent":
		return Persistent
	}
	return int(Float(v))
}

func (t *Task) setArgs(n *node, legacy bool) error {
	write := Marshal
	if legacy {
		write = MarshalLegacy
	}
	t.Args = make([]Raw, len(n.args))
	for i, a := range n.args {
		raw, err := write(a)
		if err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
		t.Args[i] = raw
	}
	t.Kwargs = make([]RawField, len(n.kwargs))
	for i, f := range n.kwargs {
		raw, err := write(f.Value)
		if err != nil {
			return fmt.Errorf("argument %s: %w", f.Name, err)
		}
		t.Kwargs[i] = RawField{f.Name, raw}
	}
	return nil
}

// setTimes follows Python's rules: a countdown goes before an eta, unless it is
// 0, which counts as none.
func (t *Task) setTimes(o Object, now time.Time) (err error) {
	if t.ETA, err = moment(o, "countdown", now); err != nil {
		return err
	}
	if t.ETA.IsZero() || t.ETA.Equal(now) {
		if t.ETA, err = moment(o, "eta", now); err != nil {
			return err
		}
	}
	if t.Expires, err = moment(o, "expires", now); err != nil {
		return err
	}
	if !t.Expires.IsZero() {
		t.Expiration = fmt.Sprint(max(0, t.Expires.Sub(now).Milliseconds()))
	}
	return nil
}

// moment reads a time option: a number of seconds from now, an ISO string or a
// time.Time; zero when unset.
func moment(o Object, name string, now time.Time) (time.Time, error) {
	iso := ""
	switch v := decoded(o, name).(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		return v.UTC(), nil
	case time.Duration:
		return now.Add(v), nil
	case string:
		iso = v
	case Object:
		iso = v.String("__value__")
	default:
		return now.Add(time.Duration(Float(v) * float64(time.Second))), nil
	}
	if iso == "" {
		return time.Time{}, nil
	}
	t, err := ParseTime(iso)
	if err != nil {
		return t, fmt.Errorf("option %s: %w", name, err)
	}
	return t, nil
}

// setStamps gathers the stamps, which lie flat among the options.
func (t *Task) setStamps(o Object) {
	t.StampedHeaders = stampNames(o)
	for _, name := range t.StampedHeaders {
		if v, ok := o.Get(name); ok {
			t.Stamps = t.Stamps.Set(name, headerValue(v))
		}
	}
}

// setUserHeaders takes option headers; what Celery itself writes is not the
// user's to set.
func (t *Task) setUserHeaders(o Object) {
	v, _ := o.Get("headers")
	headers, _ := headerValue(v).(Object)
	for _, f := range headers {
		if !known[f.Name] && !slices.Contains(t.StampedHeaders, f.Name) {
			t.Headers = append(t.Headers, f)
		}
	}
}

// headerValue is a value as Decode gives it, since message headers hold nothing
// else. What cannot be written is null.
func headerValue(v any) any {
	raw, err := Marshal(v)
	if err != nil {
		return nil
	}
	v, _ = Decode(raw)
	return v
}

func (t *Task) setLinks(o Object) (err error) {
	lists := []struct {
		name string
		into *[]Signature
	}{{"link", &t.Callbacks}, {"link_error", &t.Errbacks}, {"chain", &t.Chain}}
	for _, l := range lists {
		if *l.into, err = signaturesOption(o, l.name); err != nil {
			return err
		}
	}
	chord, err := signaturesOption(o, "chord")
	if err == nil && len(chord) == 1 {
		t.Chord = &chord[0]
	}
	return err
}

// signaturesOption is an option that holds one signature or a list.
func signaturesOption(o Object, name string) ([]Signature, error) {
	v, _ := o.Get(name)
	list, err := signaturesOf(settled(v))
	if err != nil {
		return nil, fmt.Errorf("option %s: %w", name, err)
	}
	return list, nil
}
