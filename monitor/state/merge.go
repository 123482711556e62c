package state

import (
	"encoding/json"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// subjects are the kinds of task events that Celery knows, with the state that
// each leads to and the field that takes its time (celery.events.state).
var subjects = map[string]struct {
	state string
	at    func(*Task) *float64
}{
	"sent":      {Pending, func(t *Task) *float64 { return &t.Sent }},
	"received":  {Received, func(t *Task) *float64 { return &t.Received }},
	"started":   {Started, func(t *Task) *float64 { return &t.Started }},
	"succeeded": {Success, func(t *Task) *float64 { return &t.Succeeded }},
	"failed":    {Failure, func(t *Task) *float64 { return &t.Failed }},
	"retried":   {Retry, func(t *Task) *float64 { return &t.Retried }},
	"revoked":   {Revoked, func(t *Task) *float64 { return &t.Revoked }},
	"rejected":  {Rejected, func(t *Task) *float64 { return &t.Rejected }},
}

// precedence orders states: of two events out of order the one with the lower
// number decides (celery.states.PRECEDENCE). Unknown states rank between
// FAILURE and REVOKED.
func precedence(state string) int {
	switch state {
	case Success:
		return 0
	case Failure:
		return 1
	case Revoked:
		return 3
	case Started:
		return 4
	case Received:
		return 5
	case Rejected:
		return 6
	case Retry:
		return 7
	case Pending:
		return 8
	}
	return 2
}

// merge applies a task event by Celery's rules (Task.event in
// celery.events.state). An event that logically happened before the present
// state keeps that state: a late task-received then adds only what the worker
// knows of the request; any other late event adds all its fields, timestamp and
// clock included.
func (t *Task) merge(subject string, e *protocol.Event) {
	state := strings.ToUpper(subject)
	if known, ok := subjects[subject]; ok {
		state = known.state
		*known.at(t) = e.Timestamp
	}
	late := state != Retry && t.State != Retry && precedence(state) > precedence(t.State)
	if !late {
		t.State = state
	}
	requestOnly := late && state == Received
	if !requestOnly {
		t.Timestamp, t.Clock = e.Timestamp, e.Clock
	}
	for _, f := range e.Fields {
		t.set(f.Name, f.Value, requestOnly)
	}
}

// set takes one field of an event. Fields that Celery's Task does not show are
// dropped, except the queue.
func (t *Task) set(name string, v any, requestOnly bool) {
	switch name {
	case "name":
		t.Name = text(v)
	case "args":
		t.Args = TextOf(v)
	case "kwargs":
		t.Kwargs = TextOf(v)
	case "parent_id":
		t.ParentID = text(v)
	case "root_id":
		t.RootID = text(v)
	case "retries":
		t.Retries = integer(v)
	case "eta":
		t.ETA = TextOf(v)
	case "expires":
		t.Expires = TextOf(v)
	default:
		if !requestOnly {
			t.setOutcome(name, v)
		}
	}
}

func (t *Task) setOutcome(name string, v any) {
	switch name {
	case "result":
		t.Result = TextOf(v)
	case "exception":
		t.Exception = TextOf(v)
	case "traceback":
		t.Traceback = TextOf(v)
	case "runtime":
		t.Runtime = float(v)
	case "exchange":
		t.Exchange = text(v)
	case "routing_key":
		t.RoutingKey = text(v)
	case "queue":
		t.Queue = text(v)
	}
}

// text is a field that is a string in every Celery; another value is shown as
// JSON.
func text(v any) string { return TextOf(v).String }

func float(v any) *float64 {
	switch v.(type) {
	case json.Number, float64, int, int64:
		f := protocol.Float(v)
		return &f
	}
	return nil
}

func integer(v any) *int64 {
	f := float(v)
	if f == nil {
		return nil
	}
	n := int64(*f)
	return &n
}
