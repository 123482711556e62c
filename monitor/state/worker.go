package state

import (
	"encoding/json"
	"slices"

	"github.com/umbel-go/umbel/protocol"
)

// heartbeatsKept is how many heartbeats a worker keeps (Worker.heartbeat_max).
const heartbeatsKept = 4

// defaultFreq is the heartbeat interval assumed until a worker tells its own.
const defaultFreq = 60

// Worker is what events told about one worker, with the fields of
// celery.events.state.Worker. Numbers keep the literal that the worker sent; an
// empty one is null.
type Worker struct {
	Hostname string
	PID      int // 0 is null
	// Freq is the interval of heartbeats in seconds.
	Freq json.Number
	// Heartbeats are the last four times, sorted, in Unix seconds; none after
	// the worker said goodbye. Worker events count by their arrival, task
	// events by their own time.
	Heartbeats []float64
	Clock      int64
	Active     json.Number
	Processed  json.Number
	Loadavg    protocol.Raw // [1, 5, 15 minutes]; nil is null
	SwIdent    string
	SwVer      string
	SwSys      string
	// Timestamp is that of the last worker event, 0 without one.
	Timestamp float64
	// Seen is when the last event of any kind arrived here, Offline when the
	// worker said goodbye (0: it did not, or came back). Both are ours.
	Seen    float64
	Offline float64
	// Skew is the worker's clock less ours at its last event, in seconds: with
	// the way of the event, so mostly a little below zero. Ours.
	Skew float64
}

func newWorker(hostname string) *Worker {
	return &Worker{Hostname: hostname, Freq: "60"}
}

// Clone returns a copy that shares nothing which changes.
func (w *Worker) Clone() *Worker {
	c := *w
	c.Heartbeats = slices.Clone(w.Heartbeats)
	return &c
}

// HeartbeatExpires is when the worker counts as dead by Celery's rule (twice
// its interval after the last heartbeat), 0 without heartbeats.
func (w *Worker) HeartbeatExpires() float64 {
	if len(w.Heartbeats) == 0 {
		return 0
	}
	return w.Heartbeats[len(w.Heartbeats)-1] + 2*w.freq()
}

// Alive is Celery's rule. It flaps easily: by default a worker is dead after 4 s
// of silence.
func (w *Worker) Alive(now float64) bool { return now < w.HeartbeatExpires() }

// LastSeen is the newest sign of life: an arrival, or a heartbeat.
func (w *Worker) LastSeen() float64 {
	if n := len(w.Heartbeats); n > 0 && w.Offline == 0 {
		return max(w.Seen, w.Heartbeats[n-1])
	}
	return w.Seen
}

func (w *Worker) freq() float64 {
	if f := protocol.Float(w.Freq); f > 0 {
		return f
	}
	return defaultFreq
}

// observe applies a worker event: every field of it replaces the worker's own
// (Worker.event in celery.events.state).
func (w *Worker) observe(subject string, e *protocol.Event, received float64) {
	w.PID, w.Clock, w.Timestamp = e.PID, e.Clock, e.Timestamp
	for _, f := range e.Fields {
		w.set(f.Name, f.Value)
	}
	if subject == "offline" {
		w.Heartbeats = w.Heartbeats[:0]
		w.Offline = received
		return
	}
	w.Offline = 0
	w.Skew = e.Timestamp - received
	if e.Timestamp != 0 {
		w.beat(received)
	}
}

func (w *Worker) set(name string, v any) {
	number := func() json.Number { n, _ := v.(json.Number); return n }
	switch name {
	case "freq":
		w.Freq = number()
	case "active":
		w.Active = number()
	case "processed":
		w.Processed = number()
	case "loadavg":
		w.Loadavg = nil
		if v != nil {
			w.Loadavg, _ = protocol.Marshal(v) // decoded values always marshal
		}
	case "sw_ident":
		w.SwIdent = text(v)
	case "sw_ver":
		w.SwVer = text(v)
	case "sw_sys":
		w.SwSys = text(v)
	}
}

// beat adds a heartbeat in order and drops the oldest when there are too many.
func (w *Worker) beat(at float64) {
	if at == 0 {
		return
	}
	if len(w.Heartbeats) >= heartbeatsKept {
		w.Heartbeats = append(w.Heartbeats[:0], w.Heartbeats[1:]...)
	}
	i := len(w.Heartbeats)
	for i > 0 && w.Heartbeats[i-1] > at {
		i--
	}
	w.Heartbeats = slices.Insert(w.Heartbeats, i, at)
}

// Object is the worker as /workers?json=1 shows it, without the counters before
// and the status behind.
func (w *Worker) Object() protocol.Object {
	beats := w.Heartbeats
	if beats == nil {
		beats = []float64{}
	}
	return protocol.Object{
		{Name: "hostname", Value: w.Hostname},
		{Name: "pid", Value: orNull(w.PID)},
		{Name: "freq", Value: number(w.Freq)},
		{Name: "heartbeats", Value: beats},
		{Name: "clock", Value: w.Clock},
		{Name: "active", Value: number(w.Active)},
		{Name: "processed", Value: number(w.Processed)},
		{Name: "loadavg", Value: w.Loadavg},
		{Name: "sw_ident", Value: orNull(w.SwIdent)},
		{Name: "sw_ver", Value: orNull(w.SwVer)},
		{Name: "sw_sys", Value: orNull(w.SwSys)},
	}
}

func number(n json.Number) any {
	if n == "" {
		return nil
	}
	return n
}
