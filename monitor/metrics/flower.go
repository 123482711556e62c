package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// maxPrefetched bounds the tasks that are known to wait in a worker.
const maxPrefetched = 100_000

// flower are Flower's metrics with its names, labels and help texts. Whether a
// worker is online is in figures: Flower never notices that one was killed.
type flower struct {
	events     *prometheus.CounterVec
	runtime    *prometheus.HistogramVec
	prefetch   *prometheus.GaugeVec
	prefetched *prometheus.GaugeVec
	// waiting are the tasks that prefetched counts, by id: each is counted down
	// once, however it leaves the worker's queue.
	mu      sync.Mutex
	waiting map[string][2]string
}

func newFlower(buckets []float64) *flower {
	labels := []string{"worker", "task"}
	return &flower{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flower_events_total", Help: "Number of events"}, []string{"worker", "type", "task"}),
		runtime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "flower_task_runtime_seconds", Help: "Task runtime", Buckets: buckets}, labels),
		prefetch: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flower_task_prefetch_time_seconds",
			Help: "The time the task spent waiting at the celery worker to be executed."}, labels),
		prefetched: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "flower_worker_prefetched_tasks",
			Help: "Number of tasks of given type prefetched at a worker"}, labels),
		waiting: map[string][2]string{},
	}
}

func (f *flower) all() []prometheus.Collector {
	return []prometheus.Collector{f.events, f.runtime, f.prefetch, f.prefetched}
}

// task is observe_task of flower.events, evaluated on the merged task.
func (f *flower) task(c state.Change, worker, name string) {
	f.events.WithLabelValues(worker, c.Event.Type, name).Inc()
	v, _ := c.Event.Fields.Get("runtime")
	if runtime := protocol.Float(v); runtime != 0 {
		f.runtime.WithLabelValues(worker, name).Observe(runtime)
	}
	f.count(c, worker, name)
	t := c.Task
	if (t.ETA.Valid && t.ETA.String != "") || t.Received == 0 || t.Started == 0 {
		return
	}
	switch c.Event.Type {
	case protocol.EventTaskStarted:
		f.prefetch.WithLabelValues(worker, name).Set(t.Started - t.Received)
	case protocol.EventTaskSucceeded, protocol.EventTaskFailed:
		f.prefetch.WithLabelValues(worker, name).Set(0)
	}
}

// count follows the tasks that wait in workers. Tasks with an ETA do not count:
// they do not wait for a free slot.
func (f *flower) count(c state.Change, worker, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := c.Task
	switch c.Event.Type {
	case protocol.EventTaskSent:
	case protocol.EventTaskReceived:
		_, counted := f.waiting[t.UUID]
		if counted || t.State != state.Received || t.ETA.Valid || len(f.waiting) >= maxPrefetched {
			return
		}
		f.waiting[t.UUID] = [2]string{worker, name}
		f.prefetched.WithLabelValues(worker, name).Inc()
	default:
		if labels, counted := f.waiting[t.UUID]; counted {
			delete(f.waiting, t.UUID)
			f.prefetched.WithLabelValues(labels[:]...).Dec()
		}
	}
}

// worker drops the tasks that a worker took with it when it left.
func (f *flower) worker(c state.Change, worker string) {
	if c.Event.Type != protocol.EventWorkerOffline {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, labels := range f.waiting {
		if labels[0] == worker {
			delete(f.waiting, id)
			f.prefetched.WithLabelValues(labels[:]...).Dec()
		}
	}
}
