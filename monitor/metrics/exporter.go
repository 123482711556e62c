package metrics

import (
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// exporter are celery-exporter's metrics with its names and labels. Its gauges
// are in figures.
type exporter struct {
	events  map[string]*prometheus.CounterVec // by event type, failed apart
	failed  *prometheus.CounterVec
	runtime *prometheus.HistogramVec
	wait    *prometheus.HistogramVec // in the queue: from task-sent to task-received
	inside  *prometheus.HistogramVec // in the worker: from task-received to task-started
}

func newExporter(buckets []float64) exporter {
	labels := []string{"name", "hostname", "queue_name"}
	e := exporter{
		events: map[string]*prometheus.CounterVec{},
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "celery_task_failed_total", Help: "Sent if the execution of the task failed."}, append(labels, "exception")),
		runtime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "celery_task_runtime", Help: "Histogram of task runtime measurements.", Buckets: buckets}, labels),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "celery_task_queue_wait_time", Help: "Histogram of task queue wait time in seconds, without tasks that have an ETA.", Buckets: waitBuckets}, labels),
		inside: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "celery_task_prefetch_wait_seconds", Help: "Histogram of the time between arrival at a worker and start, without tasks that have an ETA.", Buckets: waitBuckets}, labels),
	}
	for event, help := range map[string]string{
		protocol.EventTaskSent:      "Sent when a task message is published.",
		protocol.EventTaskReceived:  "Sent when the worker receives a task.",
		protocol.EventTaskStarted:   "Sent just before the worker executes the task.",
		protocol.EventTaskSucceeded: "Sent if the task executed successfully.",
		protocol.EventTaskRejected:  "The task was rejected by the worker, possibly to be re-queued or moved to a dead letter queue.",
		protocol.EventTaskRevoked:   "Sent if the task has been revoked.",
		protocol.EventTaskRetried:   "Sent if the task failed, but will be retried in the future.",
	} {
		name := "celery_task_" + strings.TrimPrefix(event, "task-") + "_total"
		e.events[event] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return e
}

func (e *exporter) all() []prometheus.Collector {
	out := []prometheus.Collector{e.failed, e.runtime, e.wait, e.inside}
	for _, c := range e.events {
		out = append(out, c)
	}
	return out
}

var exceptionClass = regexp.MustCompile(`^(\w+)\(`)

func (e *exporter) task(c state.Change, hostname, name string) {
	t := c.Task
	queue := t.Queue
	if queue == "" {
		queue = "celery"
	}
	labels := []string{name, host(hostname), queue}
	if counter := e.events[c.Event.Type]; counter != nil {
		e.zero(c.Event.Type, labels)
		counter.WithLabelValues(labels...).Inc()
	}
	switch c.Event.Type {
	case protocol.EventTaskFailed:
		e.zero(c.Event.Type, labels)
		exception := "UnknownException"
		if m := exceptionClass.FindStringSubmatch(t.Exception.String); m != nil {
			exception = m[1]
		}
		e.failed.WithLabelValues(append(labels, exception)...).Inc()
	case protocol.EventTaskSucceeded:
		if t.Runtime != nil {
			e.runtime.WithLabelValues(labels...).Observe(*t.Runtime)
		}
	case protocol.EventTaskReceived:
		if !t.ETA.Valid && t.Sent > 0 && c.Before != state.Received {
			e.wait.WithLabelValues(labels...).Observe(max(0, t.Received-t.Sent))
		}
	case protocol.EventTaskStarted:
		if !t.ETA.Valid && t.Received > 0 {
			e.inside.WithLabelValues(labels...).Observe(max(0, t.Started-t.Received))
		}
	}
}

// zero lets the other counters of a task appear with 0 at its first event, so
// that rates and alerts see the first increase (celery-exporter). A task-sent
// does not: its host is a client's.
func (e *exporter) zero(event string, labels []string) {
	if event == protocol.EventTaskSent {
		return
	}
	for other, counter := range e.events {
		if other != event && other != protocol.EventTaskSent {
			counter.WithLabelValues(labels...)
		}
	}
	if event != protocol.EventTaskFailed {
		e.failed.WithLabelValues(append(labels[:len(labels):len(labels)], "")...)
	}
}

// host is the part of a node name behind "@", as celery-exporter labels it.
func host(hostname string) string {
	if _, host, ok := strings.Cut(hostname, "@"); ok {
		return host
	}
	return hostname
}
