package protocol

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// EventExchange is the exchange for events: topic on AMQP, fanout on Redis
// (celery.events).
const EventExchange = "celeryev"

// Types of events.
const (
	EventWorkerOnline    = "worker-online"
	EventWorkerHeartbeat = "worker-heartbeat"
	EventWorkerOffline   = "worker-offline"
	EventTaskSent        = "task-sent"
	EventTaskReceived    = "task-received"
	EventTaskStarted     = "task-started"
	EventTaskSucceeded   = "task-succeeded"
	EventTaskFailed      = "task-failed"
	EventTaskRejected    = "task-rejected"
	EventTaskRevoked     = "task-revoked"
	EventTaskRetried     = "task-retried"
	EventTaskCancelled   = "task-cancelled"
)

// Event is one event of a worker or client.
type Event struct {
	Type     string
	Hostname string
	// UTCOffset is hours WEST of UTC of the sender's zone (celery: not what its
	// documentation says); float since Celery 5.7.
	UTCOffset float64
	PID       int
	Clock     int64
	// Timestamp is Unix seconds at the sender.
	Timestamp float64
	// Fields are the members that the type adds, in order.
	Fields Object
}

// RoutingKey is the key that an event is published under.
func (e *Event) RoutingKey() string { return strings.ReplaceAll(e.Type, "-", ".") }

// UUID is the task id of a task event, else "".
func (e *Event) UUID() string { return e.Fields.String("uuid") }

// IsTask reports whether the event is about a task.
func (e *Event) IsTask() bool { return strings.HasPrefix(e.Type, "task-") }

// Object is the event's body in the order Python writes it.
func (e *Event) Object() Object {
	o := make(Object, 0, len(e.Fields)+7)
	o = append(o, Field{"hostname", e.Hostname}, Field{"utcoffset", e.UTCOffset}, Field{"pid", e.PID}, Field{"clock", e.Clock})
	o = append(o, e.Fields...)
	return append(o, Field{"timestamp", e.Timestamp}, Field{"type", e.Type})
}

// EncodeEvents returns the message for one event, or for a batch of task events
// (a JSON list under the key "task.multi"). Batches must not hold worker events:
// gossip expects one object.
func EncodeEvents(events ...*Event) (m *Message, routingKey string, err error) {
	if len(events) == 0 {
		return nil, "", fmt.Errorf("encode events: none given")
	}
	var body any = events[0].Object()
	routingKey = events[0].RoutingKey()
	if len(events) > 1 {
		list := make([]any, len(events))
		for i, e := range events {
			list[i] = e.Object()
		}
		body, routingKey = list, "task.multi"
	}
	data, err := AppendJSON(nil, body)
	if err != nil {
		return nil, "", fmt.Errorf("encode events: %w", err)
	}
	m = NewMessage(Object{{"hostname", events[0].Hostname}}, data)
	m.Properties.DeliveryMode = Transient
	m.Properties.Exchange, m.Properties.RoutingKey = EventExchange, routingKey
	return m, routingKey, nil
}

// DecodeEvents reads the events of a message: one object or a list. Events
// without a type or hostname are refused one by one; the rest is returned with
// an error that names the first one refused.
func DecodeEvents(m *Message) ([]*Event, error) {
	v, err := Decode(m.Body)
	if err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]*Event, 0, len(list))
	for _, v := range list {
		e, eerr := eventOf(v)
		if eerr != nil {
			if err == nil {
				err = fmt.Errorf("decode events: %w", eerr)
			}
			continue
		}
		out = append(out, e)
	}
	return out, err
}

func eventOf(v any) (*Event, error) {
	o, ok := v.(Object)
	if !ok {
		return nil, fmt.Errorf("an event is a JSON object, not a %s", typeName(v))
	}
	e := &Event{Fields: make(Object, 0, len(o))}
	for _, f := range o {
		switch f.Name {
		case "type":
			e.Type, _ = f.Value.(string)
		case "hostname":
			e.Hostname, _ = f.Value.(string)
		case "utcoffset":
			e.UTCOffset = Float(f.Value)
		case "pid":
			e.PID = int(Float(f.Value))
		case "clock":
			e.Clock = int64(Float(f.Value))
		case "timestamp":
			e.Timestamp = Float(f.Value)
		default:
			if n, ok := f.Value.(json.Number); ok && !finite(Float(n)) {
				f.Value = nil // no clock or counter says NaN
			}
			e.Fields = append(e.Fields, f)
		}
	}
	if e.Type == "" || e.Hostname == "" {
		return nil, fmt.Errorf("event without type or hostname")
	}
	if !finite(e.Timestamp) || !finite(e.UTCOffset) {
		return nil, fmt.Errorf("event %s of %.80q with a time that is no number", e.Type, e.Hostname)
	}
	return e, nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Float is the number that a decoded JSON value holds, 0 for anything else.
func Float(v any) float64 {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64() // an overflow is ±Inf, as in Python
		return f
	case float64:
		return v
	case int:
		return float64(v)
	case int64:
		return float64(v)
	}
	return 0
}

// UTCOffset is the utcoffset that Celery sends for a zone at a time.
func UTCOffset(t time.Time) float64 {
	_, east := t.Zone()
	if east == 0 {
		return 0
	}
	return -float64(east) / 3600
}
