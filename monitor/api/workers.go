package api

import (
	"net/http"

	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// workers answers GET /api/workers.
func (a *api) workers(w http.ResponseWriter, r *http.Request) error {
	args := argumentsOf(r)
	refresh, err := args.bool("refresh", false)
	if err != nil {
		return err
	}
	status, err := args.bool("status", false)
	if err != nil {
		return err
	}
	ctx, source, name := r.Context(), args.text("broker"), args.text("workername")
	if refresh {
		if err := a.m.Refresh(ctx, source, name); err != nil {
			return refuse(http.StatusServiceUnavailable, "Failed to update workers: %s", err)
		}
	}
	if name != "" && !status {
		found, known, err := a.m.Worker(ctx, source, name)
		if err == nil && !known {
			err = refuse(http.StatusNotFound, "Unknown worker '%s'", name)
		}
		if err != nil {
			return err
		}
		return ok(w, r, protocol.Object{{Name: name, Value: workerInfo(&found)}})
	}
	workers, err := a.m.Workers(ctx, source, false)
	if err != nil {
		return err
	}
	out := make(protocol.Object, 0, len(workers))
	for i := range workers {
		found := &workers[i]
		switch {
		case !status:
			out = append(out, protocol.Field{Name: found.Hostname, Value: workerInfo(found)})
		case found.Known:
			out = append(out, protocol.Field{Name: found.Hostname, Value: found.Alive})
		}
	}
	return ok(w, r, out)
}

// workerInfo is Flower's entry for a worker, which is its inspect answers as
// they came, and behind that what scripts looked for and did not find. No key is
// ever absent.
func workerInfo(w *monitor.Worker) protocol.Object {
	answer := func(method string, absent any) any {
		if raw := w.Inspect.Answers[method]; raw != nil {
			return raw
		}
		return absent
	}
	empty := []any{}
	timestamp := any(protocol.Seconds(w.Inspect.At))
	if w.Inspect.At.IsZero() {
		timestamp = w.LastSeen()
	}
	var pool any = w.Pool()
	if w.Pool() == nil {
		pool = protocol.Object{}
	}
	active := w.ActiveCount()
	return protocol.Object{
		{Name: "stats", Value: answer("stats", scantStats(w))},
		{Name: "active_queues", Value: answer("active_queues", empty)},
		{Name: "registered", Value: answer("registered", empty)},
		{Name: "scheduled", Value: answer("scheduled", empty)},
		{Name: "active", Value: answer("active", empty)},
		{Name: "reserved", Value: answer("reserved", empty)},
		{Name: "revoked", Value: answer("revoked", empty)},
		{Name: "conf", Value: answer("conf", protocol.Object{})},
		{Name: "timestamp", Value: timestamp},

		{Name: "status", Value: w.Status()},
		{Name: "alive", Value: w.Alive},
		{Name: "pool", Value: pool},
		{Name: "concurrency", Value: orNull(w.Concurrency())},
		{Name: "running_tasks", Value: active},
		{Name: "completed_tasks", Value: w.CompletedCount()},
		{Name: "queues", Value: append([]string{}, w.Queues()...)},
		{Name: "active_count", Value: active},
		{Name: "processed", Value: orNull(w.Processed)},
		{Name: "loadavg", Value: w.Loadavg},
		{Name: "heartbeat_expires", Value: orNull(w.HeartbeatExpires())},
		{Name: "sw_ident", Value: orNull(w.SwIdent)},
		{Name: "sw_ver", Value: orNull(w.SwVer)},
		{Name: "sw_sys", Value: orNull(w.SwSys)},
	}
}

// scantStats stands in for the stats of a worker that was never inspected.
func scantStats(w *monitor.Worker) protocol.Object {
	return protocol.Object{
		{Name: "total", Value: protocol.Object{}},
		{Name: "pid", Value: orNull(w.PID)},
		{Name: "pool", Value: protocol.Object{}},
	}
}

// workersTable answers /workers?json=1: counters by event type, the worker's
// fields, and whether it is alive.
func (a *api) workersTable(w http.ResponseWriter, r *http.Request) error {
	args := argumentsOf(r)
	refresh, err := args.bool("refresh", false)
	if err != nil {
		return err
	}
	source := args.text("broker")
	if refresh {
		if err := a.m.Refresh(r.Context(), source, ""); err != nil {
			return refuse(http.StatusServiceUnavailable, "Failed to update workers: %s", err)
		}
	}
	workers, err := a.m.Workers(r.Context(), source, false)
	if err != nil {
		return err
	}
	data := []any{}
	for _, found := range workers {
		if len(found.Counters) == 0 {
			continue
		}
		o := protocol.Object{}
		for _, c := range found.Counters {
			o = append(o, protocol.Field{Name: c.Type, Value: c.N})
		}
		o = append(o, found.Object()...)
		data = append(data, append(o, protocol.Field{Name: "status", Value: found.Alive}))
	}
	return ok(w, r, protocol.Object{{Name: "data", Value: data}})
}

// orNull is nil for a zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}
