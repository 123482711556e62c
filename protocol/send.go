package protocol

import (
	"fmt"
	"time"
)

// send turns a frozen plain signature into a task message.
func (c *canvas) send(s Signature) error {
	t, err := c.task(s)
	if err != nil {
		return err
	}
	c.plan.Sends = append(c.plan.Sends, Send{
		Task: t, Queue: s.text("queue"), Exchange: s.text("exchange"), RoutingKey: s.text("routing_key"),
	})
	return nil
}

func (c *canvas) task(s Signature) (*Task, error) {
	t := &Task{
		Lang: "go", Name: s.Task, ID: s.text("task_id"), Shadow: s.text("shadow"),
		Group: s.text("group_id"), GroupIndex: membershipOf(s).index,
		Retries: int(Float(s.option("retries"))),
		RootID:  s.text("root_id"), ParentID: s.text("parent_id"),
		ArgsRepr: s.text("argsrepr"), KwargsRepr: s.text("kwargsrepr"),
		Origin: c.env.Origin, ReplyTo: s.text("reply_to"),
		HardLimit: Float(s.option("time_limit")), SoftLimit: Float(s.option("soft_time_limit")),
		ReplacedTaskNesting: int(Float(s.option("replaced_task_nesting"))),
		DeliveryMode:        int(Float(s.option("delivery_mode"))),
		Version:             2,
	}
	t.CorrelationID = t.ID
	if t.RootID == "" {
		if t.RootID = c.env.RootID; t.RootID == "" {
			t.RootID = t.ID
		}
	}
	if t.ParentID == "" {
		t.ParentID = c.env.ParentID
	}
	if b, ok := s.option("ignore_result").(bool); ok {
		t.IgnoreResult = &b
	}
	if v := s.option("priority"); v != nil {
		p := int(Float(v))
		t.Priority = &p
	}
	if err := t.setArgs(s); err != nil {
		return nil, err
	}
	if err := c.setTimes(t, s); err != nil {
		return nil, err
	}
	t.setStamps(s)
	if h, ok := s.option("headers").(Object); ok {
		t.Headers = h
	}
	if err := t.setLinks(s); err != nil {
		return nil, err
	}
	t.FillReprs()
	return t, nil
}

func (t *Task) setArgs(s Signature) error {
	t.Args = make([]Raw, len(s.Args))
	for i, a := range s.Args {
		raw, err := Marshal(a)
		if err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
		t.Args[i] = raw
	}
	t.Kwargs = make([]RawField, len(s.Kwargs))
	for i, f := range s.Kwargs {
		raw, err := Marshal(f.Value)
		if err != nil {
			return fmt.Errorf("argument %s: %w", f.Name, err)
		}
		t.Kwargs[i] = RawField{f.Name, raw}
	}
	return nil
}

func (c *canvas) setTimes(t *Task, s Signature) (err error) {
	now := c.env.Now
	if t.ETA, err = moment(s, "eta", now); err != nil {
		return err
	}
	if t.ETA.IsZero() {
		if t.ETA, err = moment(s, "countdown", now); err != nil {
			return err
		}
	}
	if t.Expires, err = moment(s, "expires", now); err != nil {
		return err
	}
	if !t.Expires.IsZero() {
		t.Expiration = fmt.Sprint(max(0, t.Expires.Sub(now).Milliseconds()))
	}
	return nil
}

// moment reads a time option: a number of seconds from now, an ISO string or a
// time.Time; zero when unset.
func moment(s Signature, name string, now time.Time) (time.Time, error) {
	switch v := s.option(name).(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		return v.UTC(), nil
	case time.Duration:
		return now.Add(v), nil
	case string:
		t, err := ParseTime(v)
		if err != nil {
			return t, fmt.Errorf("option %s: %w", name, err)
		}
		return t, nil
	case Object:
		t, err := ParseTime(v.String("__value__"))
		if err != nil {
			return t, fmt.Errorf("option %s: %w", name, err)
		}
		return t, nil
	default:
		return now.Add(time.Duration(Float(v) * float64(time.Second))), nil
	}
}

// setStamps gathers the stamps, which lie flat among the options.
func (t *Task) setStamps(s Signature) {
	names, _ := s.option("stamped_headers").([]any)
	if list, ok := s.option("stamped_headers").([]string); ok {
		for _, n := range list {
			names = append(names, n)
		}
	}
	for _, n := range names {
		name, ok := n.(string)
		if !ok {
			continue
		}
		t.StampedHeaders = append(t.StampedHeaders, name)
		if v, ok := s.Options.Get(name); ok {
			t.Stamps = t.Stamps.Set(name, v)
		}
	}
}

func (t *Task) setLinks(s Signature) (err error) {
	if t.Callbacks, err = s.signatures("link"); err != nil {
		return err
	}
	if t.Errbacks, err = s.signatures("link_error"); err != nil {
		return err
	}
	if t.Chain, err = s.signatures("chain"); err != nil {
		return err
	}
	chord, err := s.signatures("chord")
	if err == nil && len(chord) == 1 {
		t.Chord = &chord[0]
	}
	return err
}
