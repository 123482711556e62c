package protocol

import (
	"fmt"
	"slices"
	"time"
)

// States of a task (celery.states). A task may also have a state of its own,
// such as PROGRESS.
const (
	StatePending  = "PENDING"
	StateReceived = "RECEIVED"
	StateStarted  = "STARTED"
	StateSuccess  = "SUCCESS"
	StateFailure  = "FAILURE"
	StateRetry    = "RETRY"
	StateRevoked  = "REVOKED"
	StateRejected = "REJECTED"
	StateIgnored  = "IGNORED"
)

// Ready reports whether a state is final: SUCCESS, FAILURE or REVOKED.
func Ready(state string) bool {
	return state == StateSuccess || state == StateFailure || state == StateRevoked
}

// Exceptional reports whether a result in this state holds an exception.
func Exceptional(state string) bool {
	return state == StateFailure || state == StateRetry || state == StateRevoked
}

// Result is what a result backend keeps for a task (celery's "meta").
type Result struct {
	TaskID string
	Status string
	// Value is the JSON of the result; an exception object when the status is
	// exceptional.
	Value     Raw
	Traceback string
	// Children are result tuples of the tasks that this one sent.
	Children []Raw
	// NoChildren has no children written as null instead of [], as Celery does when
	// it revokes a task that never ran. Readers make no difference.
	NoChildren bool
	// DateDone is zero unless the status is ready.
	DateDone time.Time
	GroupID  string
	ParentID string
	// Extra holds the members of result_extended (see Extended) and unknown ones,
	// in order: a result that passes through us loses nothing.
	Extra Object
}

// Ready reports whether the result is final.
func (r *Result) Ready() bool { return Ready(r.Status) }

// Encode writes the meta as Python's backend does, byte for byte where the value
// is in kombu's style.
func (r *Result) Encode() ([]byte, error) {
	children := r.Children
	if children == nil && !r.NoChildren {
		children = []Raw{} // a nil list is written as null
	}
	o := Object{
		{"status", r.Status}, {"result", r.Value}, {"traceback", OrNull(r.Traceback)},
		{"children", children}, {"date_done", TimeOrNull(r.DateDone)},
	}
	if r.GroupID != "" {
		o = append(o, Field{"group_id", r.GroupID})
	}
	if r.ParentID != "" {
		o = append(o, Field{"parent_id", r.ParentID})
	}
	o = append(append(o, r.Extra...), Field{"task_id", r.TaskID})
	return AppendJSON(nil, o)
}

// DecodeResult reads a meta that any version of Celery wrote.
func DecodeResult(data []byte) (*Result, error) {
	fields, err := SplitObject(data)
	if err != nil {
		return nil, fmt.Errorf("decode result: %w", err)
	}
	r := &Result{Status: StatePending}
	for _, f := range fields {
		if err := r.set(f); err != nil {
			return nil, fmt.Errorf("decode result: member %s: %w", f.Name, err)
		}
	}
	return r, nil
}

func (r *Result) set(f RawField) (err error) {
	switch f.Name {
	case "status":
		r.Status, err = rawString(f.Value)
	case "result":
		r.Value = f.Value
	case "traceback":
		r.Traceback, err = rawString(f.Value)
	case "children":
		if r.NoChildren = string(f.Value) == "null"; !r.NoChildren {
			r.Children, err = SplitArray(f.Value)
		}
	case "date_done":
		r.DateDone, err = rawTime(f.Value)
	case "group_id":
		r.GroupID, err = rawString(f.Value)
	case "parent_id":
		r.ParentID, err = rawString(f.Value)
	case "task_id":
		r.TaskID, err = rawString(f.Value)
	default:
		r.Extra = append(r.Extra, Field{f.Name, f.Value})
	}
	return err
}

// rawString reads a string or null; other scalars as their text, since old
// peers are not strict.
func rawString(raw Raw) (string, error) {
	v, err := Decode(raw)
	switch v := v.(type) {
	case nil:
		return "", err
	case string:
		return v, err
	}
	return string(raw), err
}

// rawTime reads an ISO time or null, wrapped by kombu or not.
func rawTime(raw Raw) (time.Time, error) {
	v, err := Decode(raw)
	if o, ok := v.(Object); ok {
		v, _ = o.Get("__value__")
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return time.Time{}, err
	}
	return ParseTime(s)
}

// Extended is what a result tells about its task where result_extended is set.
type Extended struct {
	// Name is "" where the writer knew nothing about the task.
	Name string
	// Args and Kwargs are JSON values as the task got them, not reprs.
	Args, Kwargs Raw
	// Worker is the node name, Queue the routing key that the task came by.
	Worker  string
	Retries int
	Queue   string
	// Stamps are the task's stamps, StampedHeaders their names. Only stamps that
	// are named there are written.
	StampedHeaders []string
	Stamps         Object
}

// Object is what belongs into Result.Extra, in Celery's order.
func (e Extended) Object() Object {
	o := Object{
		{"name", OrNull(e.Name)}, {"args", e.Args}, {"kwargs", e.Kwargs},
		{"worker", OrNull(e.Worker)}, {"retries", nil}, {"queue", OrNull(e.Queue)},
	}
	if e.Name != "" {
		o[4].Value = e.Retries
	}
	if len(e.Stamps) == 0 {
		return o
	}
	o = append(o, Field{"stamped_headers", stringsOrNull(e.StampedHeaders)})
	for _, f := range e.Stamps {
		if slices.Contains(e.StampedHeaders, f.Name) {
			o = append(o, f)
		}
	}
	return o
}

// Extended reads what Extra holds of result_extended. What is missing, null or
// of another type is zero.
func (r *Result) Extended() Extended {
	text := func(name string) string {
		s, _ := r.extra(name).(string)
		return s
	}
	raw := func(name string) Raw {
		v, ok := r.Extra.Get(name)
		if !ok {
			return nil
		}
		data, _ := Marshal(v)
		return data
	}
	e := Extended{
		Name: text("name"), Args: raw("args"), Kwargs: raw("kwargs"), Worker: text("worker"),
		Retries: int(Float(r.extra("retries"))), Queue: text("queue"),
	}
	names, _ := r.extra("stamped_headers").([]any)
	stamped := make(map[string]bool, len(names))
	for _, n := range names {
		name, _ := n.(string)
		e.StampedHeaders = append(e.StampedHeaders, name)
		stamped[name] = true
	}
	for _, f := range r.Extra {
		if stamped[f.Name] {
			e.Stamps = append(e.Stamps, f)
		}
	}
	return e
}

// extra is a member of Extra as Decode gives it.
func (r *Result) extra(name string) any {
	v, _ := r.Extra.Get(name)
	if raw, ok := v.(Raw); ok {
		v, _ = Decode(raw)
	}
	return v
}
