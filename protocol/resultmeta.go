package protocol

import (
	"fmt"
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
	// DateDone is zero unless the status is ready.
	DateDone time.Time
	GroupID  string
	ParentID string
	// Extra holds the members of result_extended (name, args, kwargs, worker,
	// retries, queue) and unknown ones, in order.
	Extra Object
}

// Ready reports whether the result is final.
func (r *Result) Ready() bool { return Ready(r.Status) }

// Encode writes the meta as Python's backend does.
func (r *Result) Encode() ([]byte, error) {
	children := make([]any, len(r.Children))
	for i, c := range r.Children {
		children[i] = c
	}
	o := Object{
		{"status", r.Status}, {"result", r.Value}, {"traceback", orNull(r.Traceback)},
		{"children", children}, {"date_done", nil},
	}
	if !r.DateDone.IsZero() {
		o[4].Value = FormatTime(r.DateDone)
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
		if string(f.Value) != "null" {
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

// ResultTuple is the wire form of an AsyncResult: [[id, parent], null].
func ResultTuple(id string, parent Raw) Raw {
	var p any
	if parent != nil {
		p = parent
	}
	raw, _ := Marshal([]any{[]any{id, p}, nil}) // strings and raw JSON cannot fail
	return raw
}

// GroupTuple is the wire form of a GroupResult: [[gid, parent], [tuples]].
func GroupTuple(group string, parent Raw, members []Raw) Raw {
	var p any
	if parent != nil {
		p = parent
	}
	raw, _ := Marshal([]any{[]any{group, p}, members})
	return raw
}
