package engine

import (
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/protocol"
)

// Hint is what an event of a worker tells about a task.
type Hint struct {
	TaskID string
	// State is a Celery state: RECEIVED, STARTED, RETRY, SUCCESS, FAILURE, REVOKED.
	State  string
	Worker string
	At     time.Time
}

// Observe takes hints from the event stream. It never blocks, and a hint that is
// dropped costs nothing but time: a final state only makes the engine read the
// result backend now, which alone decides.
func (e *Engine) Observe(h Hint) {
	if !e.flight.has(h.TaskID) {
		return
	}
	kind := map[string]dag.Kind{
		protocol.StateReceived: dag.SeenReceived,
		protocol.StateStarted:  dag.SeenStarted,
		protocol.StateRetry:    dag.SeenRetry,
	}[h.State]
	if kind != "" {
		select {
		case e.seen <- dag.Observation{TaskID: h.TaskID, Kind: kind, At: h.At, Worker: h.Worker}:
		default:
		}
		return
	}
	if protocol.Ready(h.State) {
		select {
		case e.ask <- h.TaskID:
		default:
		}
	}
}

// observe turns a stored result into a report; false when it says nothing.
func observe(r *protocol.Result, now time.Time) (dag.Observation, bool) {
	o := dag.Observation{TaskID: r.TaskID, At: now, Worker: extra(r, "worker")}
	switch r.Status {
	case protocol.StateStarted:
		o.Kind = dag.SeenStarted
		if value, err := protocol.DecodeObject(r.Value); err == nil && o.Worker == "" {
			o.Worker = value.String("hostname")
		}
	case protocol.StateRetry:
		o.Kind = dag.SeenRetry
	case protocol.StateSuccess:
		o.Kind, o.Result = dag.SeenSuccess, r.Value
		if len(o.Result) == 0 {
			o.Result = protocol.Raw("null")
		}
		if len(o.Result) > dag.MaxInline {
			o.Result, o.ResultRef = nil, r.TaskID
		}
	case protocol.StateFailure, protocol.StateRevoked:
		o.Kind = dag.SeenFailure
		if r.Status == protocol.StateRevoked {
			o.Kind = dag.SeenRevoked
		}
		exc := protocol.DecodeException(r.Value)
		o.ErrorType, o.Error, o.Traceback = exc.Type, cut(exc.Error()), cut(r.Traceback)
	default:
		return o, false
	}
	return o, r.TaskID != ""
}

// extra is a member of an extended result (result_extended).
func extra(r *protocol.Result, name string) string {
	v, _ := r.Extra.Get(name)
	if raw, ok := v.(protocol.Raw); ok {
		v, _ = protocol.Decode(raw)
	}
	s, _ := v.(string)
	return s
}

// cut bounds what an exception may put into the store.
func cut(s string) string {
	if len(s) > dag.MaxInline {
		return s[:dag.MaxInline] + "…"
	}
	return s
}
