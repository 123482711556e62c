package worker

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// commands are the remote control commands by Celery's names and aliases.
var commands = map[string]command{
	"ping": ping, "clock": clock, "hello": hello,
	"active": active, "dump_active": active,
	"reserved": none, "dump_reserved": none,
	"scheduled": none, "dump_schedule": none,
	"revoked": revokedIDs, "dump_revoked": revokedIDs,
	"registered": registered, "dump_tasks": registered,
	"query_task": queryTask, "active_queues": activeQueues,
	"stats": stats, "conf": conf, "dump_conf": conf,
	"enable_events": enableEvents, "disable_events": disableEvents, "heartbeat": heartbeat,
	"revoke": revoke, "terminate": terminate,
	"add_consumer": addConsumer, "cancel_consumer": cancelConsumer,
	"shutdown": shutdown,
}

func ok(text string) any { return protocol.Object{{Name: "ok", Value: text}} }

func ping(*Worker, protocol.Object) (any, error) { return ok("pong"), nil }

func clock(w *Worker, _ protocol.Object) (any, error) {
	return protocol.Object{{Name: "clock", Value: w.client.Clock().Value()}}, nil
}

// hello is how a starting node learns revoked ids and the clock (mingle).
func hello(w *Worker, args protocol.Object) (any, error) {
	if args.String("from_node") == w.name {
		return nil, nil
	}
	if v, _ := args.Get("revoked"); v != nil {
		w.revoked.add(protocol.TaskIDs(v)...)
	}
	return protocol.Object{
		{Name: "revoked", Value: w.revoked.list()}, {Name: "clock", Value: w.client.Clock().Forward()},
	}, nil
}

func active(w *Worker, _ protocol.Object) (any, error) {
	infos := []any{}
	for _, r := range w.active.list() {
		infos = append(infos, w.info(r))
	}
	return infos, nil
}

// info is Celery's Request.info.
func (w *Worker) info(r *run) protocol.Object {
	t := r.task
	reg := w.registry[t.Name]
	return protocol.Object{
		{Name: "id", Value: t.ID}, {Name: "name", Value: t.DisplayName()}, {Name: "args", Value: t.Args},
		{Name: "kwargs", Value: t.KwargsObject()}, {Name: "type", Value: t.Name}, {Name: "hostname", Value: w.name},
		{Name: "time_start", Value: protocol.Seconds(r.since)}, {Name: "acknowledged", Value: reg == nil || !reg.options.acksLate},
		{Name: "delivery_info", Value: protocol.Object{
			{Name: "exchange", Value: t.Exchange}, {Name: "routing_key", Value: t.RoutingKey},
			{Name: "priority", Value: t.Priority}, {Name: "redelivered", Value: t.Redelivered},
		}},
		{Name: "worker_pid", Value: w.pid()},
	}
}

// none is the answer to reserved and scheduled: messages are claimed only for
// free slots, and those with an eta are parked on the broker.
func none(*Worker, protocol.Object) (any, error) { return []any{}, nil }

func revokedIDs(w *Worker, _ protocol.Object) (any, error) { return w.revoked.list(), nil }

func registered(w *Worker, args protocol.Object) (any, error) {
	builtins, _ := args.Get("builtins")
	names := []string{}
	for _, n := range w.names() {
		if builtins == true || !strings.HasPrefix(n, "celery.") {
			names = append(names, n)
		}
	}
	return names, nil
}

func queryTask(w *Worker, args protocol.Object) (any, error) {
	ids, _ := args.Get("ids")
	wanted := map[string]bool{}
	for _, id := range protocol.TaskIDs(ids) {
		wanted[id] = true
	}
	out := protocol.Object{}
	for _, r := range w.active.list() {
		if wanted[r.task.ID] {
			out = out.Set(r.task.ID, []any{"active", w.info(r)})
		}
	}
	return out, nil
}

func enableEvents(w *Worker, _ protocol.Object) (any, error) {
	if w.events.enabled.Swap(true) {
		return ok("task events already enabled"), nil
	}
	w.log.Info("task events enabled by remote")
	return ok("task events enabled"), nil
}

func disableEvents(w *Worker, _ protocol.Object) (any, error) {
	if !w.events.enabled.Swap(false) {
		return ok("task events already disabled"), nil
	}
	w.log.Info("task events disabled by remote")
	return ok("task events disabled"), nil
}

func heartbeat(w *Worker, _ protocol.Object) (any, error) {
	w.events.worker(protocol.EventWorkerHeartbeat)
	return nil, nil
}

func revoke(w *Worker, args protocol.Object) (any, error) {
	v, _ := args.Get("task_id")
	ids := protocol.TaskIDs(v)
	w.revoked.add(ids...)
	if kill, _ := args.Get("terminate"); kill == true {
		return w.terminate(ids), nil
	}
	w.log.Info("tasks flagged as revoked", "ids", ids)
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = protocol.Repr(id)
	}
	return ok("tasks {" + strings.Join(quoted, ", ") + "} flagged as revoked"), nil
}

func terminate(w *Worker, args protocol.Object) (any, error) {
	v, _ := args.Get("task_id")
	ids := protocol.TaskIDs(v)
	w.revoked.add(ids...)
	return w.terminate(ids), nil
}

func (w *Worker) terminate(ids []string) any {
	var found []string
	for _, id := range ids {
		if w.active.terminate(id) {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		return ok("terminate: tasks unknown")
	}
	return ok("terminate: " + strings.Join(found, ", "))
}

func addConsumer(w *Worker, args protocol.Object) (any, error) {
	q := broker.Queue{
		Name: args.String("queue"), Exchange: args.String("exchange"),
		Kind: args.String("exchange_type"), RoutingKey: args.String("routing_key"),
	}
	c := w.consumer.Load()
	if q.Name == "" || c == nil {
		return nil, fmt.Errorf("add_consumer needs a queue and a running worker")
	}
	if strings.ContainsFunc(q.Name, unicode.IsControl) {
		return nil, fmt.Errorf("queue name %q has control characters", q.Name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleGrace)
	defer cancel()
	if err := (*c).AddQueue(ctx, q); err != nil {
		return nil, err
	}
	return ok("add consumer " + q.Name), nil
}

func cancelConsumer(w *Worker, args protocol.Object) (any, error) {
	c := w.consumer.Load()
	if c == nil {
		return nil, fmt.Errorf("the worker does not consume yet")
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleGrace)
	defer cancel()
	if err := (*c).CancelQueue(ctx, args.String("queue")); err != nil {
		return nil, err
	}
	return ok("no longer consuming from " + args.String("queue")), nil
}

func shutdown(w *Worker, _ protocol.Object) (any, error) {
	w.log.Warn("got shutdown from remote")
	w.Stop()
	return noReply{}, nil
}

// uptime is whole seconds, as in stats.
func (w *Worker) uptime() int { return int(time.Since(w.started).Seconds()) }
