package worker

import (
	"os"
	"strconv"
	"sync/atomic"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/hoststat"
	"github.com/umbel-go/umbel/protocol"
)

func (w *Worker) pid() int { return os.Getpid() }

// stats is Celery's stats reply. Readers count pool.processes and read
// pool.max-concurrency, so that the one process stands there once per slot.
func stats(w *Worker, _ protocol.Object) (any, error) {
	total := map[string]int64{}
	w.totals.Range(func(name, n any) bool {
		total[name.(string)] = n.(*atomic.Int64).Load()
		return true
	})
	return protocol.Object{
		{Name: "total", Value: total}, {Name: "pid", Value: w.pid()},
		{Name: "clock", Value: strconv.FormatInt(w.client.Clock().Value(), 10)}, {Name: "uptime", Value: w.uptime()},
		{Name: "pool", Value: w.poolStats()}, {Name: "broker", Value: brokerStats(w.cfg.Broker.Info())},
		{Name: "prefetch_count", Value: w.cfg.Concurrency}, {Name: "rusage", Value: rusage()},
	}, nil
}

func (w *Worker) poolStats() protocol.Object {
	processes := make([]int, w.cfg.Concurrency)
	for i := range processes {
		processes[i] = w.pid()
	}
	return protocol.Object{
		{Name: "implementation", Value: "umbel:goroutines"}, {Name: "max-concurrency", Value: w.cfg.Concurrency},
		{Name: "processes", Value: processes}, {Name: "max-tasks-per-child", Value: "N/A"},
		{Name: "put-guarded-by-semaphore", Value: true}, {Name: "timeouts", Value: []int{0, 0}},
		{Name: "writes", Value: protocol.Object{{Name: "total", Value: w.accepted.Load()}}},
	}
}

func brokerStats(i broker.Info) protocol.Object {
	return protocol.Object{
		{Name: "hostname", Value: i.Host}, {Name: "userid", Value: protocol.OrNull(i.User)},
		{Name: "virtual_host", Value: i.VirtualHost}, {Name: "port", Value: i.Port}, {Name: "insist", Value: false},
		{Name: "ssl", Value: false}, {Name: "transport", Value: i.Transport}, {Name: "connect_timeout", Value: 4},
		{Name: "transport_options", Value: protocol.Object{}}, {Name: "login_method", Value: nil},
		{Name: "uri_prefix", Value: nil}, {Name: "heartbeat", Value: 120.0},
		{Name: "failover_strategy", Value: "round-robin"}, {Name: "alternates", Value: []string{}},
		{Name: "credential_provider", Value: nil},
	}
}

func rusage() protocol.Object {
	u := hoststat.Rusage()
	o := protocol.Object{{Name: "utime", Value: u.UserTime}, {Name: "stime", Value: u.SystemTime}}
	for _, c := range u.Counters {
		o = append(o, protocol.Field{Name: c.Name, Value: c.Value})
	}
	return o
}

// activeQueues is the list of kombu's queue objects.
func activeQueues(w *Worker, _ protocol.Object) (any, error) {
	queues := w.cfg.Queues
	if c := w.consumer.Load(); c != nil {
		queues = (*c).Queues()
	}
	out := []any{}
	for _, q := range queues {
		out = append(out, queueObject(q.WithDefaults()))
	}
	return out, nil
}

func queueObject(q broker.Queue) protocol.Object {
	var args any
	if len(q.Args) > 0 {
		args = q.Args
	}
	return protocol.Object{
		{Name: "name", Value: q.Name},
		{Name: "exchange", Value: protocol.Object{
			{Name: "name", Value: q.Exchange}, {Name: "type", Value: q.Kind}, {Name: "arguments", Value: nil},
			{Name: "durable", Value: true}, {Name: "passive", Value: false}, {Name: "auto_delete", Value: false},
			{Name: "delivery_mode", Value: nil}, {Name: "no_declare", Value: false},
		}},
		{Name: "routing_key", Value: q.RoutingKey}, {Name: "queue_arguments", Value: args},
		{Name: "binding_arguments", Value: nil}, {Name: "consumer_arguments", Value: nil}, {Name: "durable", Value: true},
		{Name: "exclusive", Value: false}, {Name: "auto_delete", Value: false}, {Name: "no_ack", Value: false},
		{Name: "alias", Value: nil}, {Name: "bindings", Value: []any{}}, {Name: "no_declare", Value: nil},
		{Name: "expires", Value: nil}, {Name: "message_ttl", Value: nil}, {Name: "max_length", Value: nil},
		{Name: "max_length_bytes", Value: nil}, {Name: "max_priority", Value: q.Args["x-max-priority"]},
	}
}

// conf shows the settings under Celery's names, without secrets.
func conf(w *Worker, _ protocol.Object) (any, error) {
	return protocol.Object{
		{Name: "broker_url", Value: w.cfg.Broker.Info().URL}, {Name: "worker_concurrency", Value: w.cfg.Concurrency},
		{Name: "task_default_queue", Value: w.cfg.Queues[0].Name}, {Name: "task_acks_late", Value: w.cfg.AcksLate},
		{Name: "worker_send_task_events", Value: w.cfg.TaskEvents}, {Name: "timezone", Value: "UTC"},
	}, nil
}
