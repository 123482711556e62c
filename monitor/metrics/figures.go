package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Figures are what is measured when somebody looks, not counted by events.
type Figures struct {
	Workers []WorkerFigures
	Queues  []QueueFigures
	Gap     time.Duration // in which events were lost, so far
	DBBytes int64
	Readers int // of live changes
	Evicted int // readers that were too slow, so far
}

// WorkerFigures are those of one worker.
type WorkerFigures struct {
	Hostname    string
	Online      bool
	Stalled     bool // online, but silent by Celery's rule
	Active      float64
	HasActive   bool
	Concurrency float64
	Queues      []string
	Skew        float64 // seconds: its clock less ours, with the way of the event
}

// QueueFigures are those of one queue.
type QueueFigures struct {
	Name                         string
	Messages, Unacked, Consumers int
	OldestAge                    time.Duration
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	flowerOnline    = describe("flower_worker_online", "Worker online status", "worker")
	flowerExecuting = describe("flower_worker_number_of_currently_executing_tasks", "Number of tasks currently executing at a worker", "worker")

	workerUp          = describe("celery_worker_up", "Indicates if a worker has recently sent a heartbeat.", "hostname")
	workerActive      = describe("celery_worker_tasks_active", "The number of tasks the worker is currently processing", "hostname")
	workerConcurrency = describe("celery_worker_concurrency", "How many tasks the worker can run at once", "hostname")
	workerStalled     = describe("celery_worker_stalled", "Whether the worker is online but missed two heartbeats", "hostname")
	workerSkew        = describe("celery_worker_clock_skew_seconds", "The worker's clock less the monitor's by its last heartbeat", "hostname")

	queueLength    = describe("celery_queue_length", "The number of message in broker queue.", "queue_name")
	queueUnacked   = describe("celery_queue_unacked", "Messages taken from the queue and not yet acknowledged", "queue_name")
	queueOldest    = describe("celery_queue_oldest_age_seconds", "Age of the oldest waiting message", "queue_name")
	queueConsumers = describe("celery_active_consumer_count", "The number of active consumer in broker queue.", "queue_name")
	queueWorkers   = describe("celery_active_worker_count", "The number of active workers in broker queue.", "queue_name")
	queueProcesses = describe("celery_active_process_count", "The number of active processes in broker queue.", "queue_name")

	gapSeconds = describe("monitor_event_gap_seconds_total", "Time in which events were lost because no connection followed them")
	dbBytes    = describe("monitor_db_bytes", "Size of the monitor's database with its log")
	liveReads  = describe("monitor_sse_clients", "Readers of live changes")
	evicted    = describe("monitor_sse_evicted_total", "Readers of live changes that were dropped for being slow")
)

// Collect makes the metrics ask for figures at each scrape. It is called once.
func (m *Metrics) Collect(figures func() Figures) { m.registry.MustRegister(collector(figures)) }

type collector func() Figures

// Describe tells nothing, which leaves the collector free to omit what is not
// known.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	f := c()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	f.workers(gauge)
	f.queues(gauge)
	gauge(dbBytes, float64(f.DBBytes))
	gauge(liveReads, float64(f.Readers))
	ch <- prometheus.MustNewConstMetric(gapSeconds, prometheus.CounterValue, f.Gap.Seconds())
	ch <- prometheus.MustNewConstMetric(evicted, prometheus.CounterValue, float64(f.Evicted))
}

type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

// workers reports each node for Flower, and each host for celery-exporter, which
// adds up the nodes of a host.
func (f *Figures) workers(gauge gaugeFunc) {
	type sums struct{ up, active, concurrency, stalled, skew float64 }
	hosts := map[string]*sums{}
	for _, w := range f.Workers {
		gauge(flowerOnline, truth(w.Online), w.Hostname)
		if w.HasActive {
			gauge(flowerExecuting, w.Active, w.Hostname)
		}
		s := hosts[host(w.Hostname)]
		if s == nil {
			s = &sums{}
			hosts[host(w.Hostname)] = s
		}
		s.up = max(s.up, truth(w.Online))
		s.stalled = max(s.stalled, truth(w.Stalled))
		if w.Online {
			s.active += w.Active
			s.concurrency += w.Concurrency
			s.skew = w.Skew
		}
	}
	for name, s := range hosts {
		gauge(workerUp, s.up, name)
		gauge(workerActive, s.active, name)
		gauge(workerConcurrency, s.concurrency, name)
		gauge(workerStalled, s.stalled, name)
		gauge(workerSkew, s.skew, name)
	}
}

func (f *Figures) queues(gauge gaugeFunc) {
	workers, processes := map[string]float64{}, map[string]float64{}
	for _, w := range f.Workers {
		if w.Online {
			for _, q := range w.Queues {
				workers[q]++
				processes[q] += w.Concurrency
			}
		}
	}
	for _, q := range f.Queues {
		gauge(queueLength, float64(q.Messages-q.Unacked), q.Name)
		gauge(queueUnacked, float64(q.Unacked), q.Name)
		gauge(queueConsumers, float64(q.Consumers), q.Name)
		gauge(queueWorkers, workers[q.Name], q.Name)
		gauge(queueProcesses, processes[q.Name], q.Name)
		if q.OldestAge > 0 {
			gauge(queueOldest, q.OldestAge.Seconds(), q.Name)
		}
	}
}
