package monitor

import (
	"github.com/umbel-go/umbel/protocol"
)

// Pool is the pool of the worker's stats, nil when it is unknown.
func (w *Worker) Pool() protocol.Raw { return w.stat("pool") }

// stat is a member of the worker's stats, nil when it is unknown.
func (w *Worker) stat(name string) protocol.Raw {
	fields, err := protocol.SplitObject(w.Inspect.Answers["stats"])
	if err != nil {
		return nil // never answered
	}
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// Concurrency is how many tasks the worker can run at once, 0 when it is
// unknown.
func (w *Worker) Concurrency() int {
	o, err := protocol.DecodeObject(w.Pool())
	if err != nil {
		return 0
	}
	v, _ := o.Get("max-concurrency")
	return int(protocol.Float(v))
}

// ActiveCount is how many tasks the worker runs: by its last heartbeat or,
// without one, by its answer to inspect.
func (w *Worker) ActiveCount() int {
	if w.Active != "" {
		return int(protocol.Float(w.Active))
	}
	items, err := protocol.SplitArray(w.Inspect.Answers["active"])
	if err != nil {
		return 0 // never answered
	}
	return len(items)
}

// CompletedCount is how many tasks the worker took since it started: by its last
// heartbeat or, without one, by its stats.
func (w *Worker) CompletedCount() int {
	if w.Processed != "" {
		return int(protocol.Float(w.Processed))
	}
	total, err := protocol.DecodeObject(w.stat("total"))
	if err != nil {
		return 0 // never answered
	}
	n := 0
	for _, f := range total {
		n += int(protocol.Float(f.Value))
	}
	return n
}
