// Package metrics turns events and figures of the monitor into Prometheus
// metrics, in two vocabularies side by side: Flower's (flower_*) and
// celery-exporter's (celery_*). monitor_* is about the monitor itself.
package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/umbel-go/umbel/monitor/state"
)

// DefaultRuntimeBuckets are those of Python's prometheus_client, which Flower
// uses.
var DefaultRuntimeBuckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// waitBuckets are celery-exporter's for the wait in a queue, in seconds.
var waitBuckets = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800}

// Config tunes the metrics. The zero value is ready.
type Config struct {
	// RuntimeBuckets are the bounds of the run time histograms in seconds
	// (Flower's task_runtime_metric_buckets); nil means
	// DefaultRuntimeBuckets.
	RuntimeBuckets []float64
}

// Metrics are all metrics in a registry of their own. It is safe for concurrent
// use.
type Metrics struct {
	registry *prometheus.Registry
	flower   *flower
	exporter exporter
	own      own
}

// own are metrics of the monitor itself.
type own struct {
	received  prometheus.Counter
	dropped   *prometheus.CounterVec
	lag       prometheus.Gauge
	connected *prometheus.GaugeVec
	write     prometheus.Histogram
}

// New returns metrics that nothing has been counted in.
func New(cfg Config) *Metrics {
	if cfg.RuntimeBuckets == nil {
		cfg.RuntimeBuckets = DefaultRuntimeBuckets
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		flower:   newFlower(cfg.RuntimeBuckets),
		exporter: newExporter(cfg.RuntimeBuckets),
		own: own{
			received: prometheus.NewCounter(prometheus.CounterOpts{
				Name: "monitor_events_received_total", Help: "Events applied by the monitor"}),
			dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: "monitor_events_dropped_total", Help: "Events or event messages that were not applied"}, []string{"reason"}),
			lag: prometheus.NewGauge(prometheus.GaugeOpts{
				Name: "monitor_event_lag_seconds", Help: "Arrival less sending time of the last event"}),
			connected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
				Name: "monitor_broker_connected", Help: "Whether events of the broker are being followed"}, []string{"broker"}),
			write: prometheus.NewHistogram(prometheus.HistogramOpts{
				Name: "monitor_db_write_seconds", Help: "Duration of the monitor's transactions", Buckets: prometheus.ExponentialBuckets(.001, 2, 12)}),
		},
	}
	m.registry.MustRegister(m.own.received, m.own.dropped, m.own.lag, m.own.connected, m.own.write,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	m.registry.MustRegister(m.flower.all()...)
	m.registry.MustRegister(m.exporter.all()...)
	return m
}

// Register adds a collector of another part of the program.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Observe counts an applied event that arrived at the time given. hostname and
// task are the label values to count it under (they fold what would make too
// many).
func (m *Metrics) Observe(c state.Change, at float64, hostname, task string) {
	m.own.received.Inc()
	if c.Event.Timestamp > 0 {
		m.own.lag.Set(at - c.Event.Timestamp)
	}
	if c.Task != nil {
		m.flower.task(c, hostname, task)
		m.exporter.task(c, hostname, task)
		return
	}
	if c.Worker != nil {
		m.flower.worker(c, hostname)
	}
}

// Restore adds events that an earlier process counted.
func (m *Metrics) Restore(hostname, event, task string, n int64) {
	if strings.HasPrefix(event, "task-") {
		m.flower.events.WithLabelValues(hostname, event, task).Add(float64(n))
	}
}

// Dropped counts events or messages that were not applied.
func (m *Metrics) Dropped(reason string, n int) {
	m.own.dropped.WithLabelValues(reason).Add(float64(n))
}

// Connected tells whether events of a broker are being followed.
func (m *Metrics) Connected(broker string, yes bool) {
	m.own.connected.WithLabelValues(broker).Set(truth(yes))
}

// Wrote observes one transaction.
func (m *Metrics) Wrote(d time.Duration) { m.own.write.Observe(d.Seconds()) }

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// ServeHTTP writes all metrics in Prometheus' text format.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	families, err := m.registry.Gather()
	if err != nil {
		slog.WarnContext(r.Context(), "some metrics cannot be collected", "error", err)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			slog.DebugContext(r.Context(), "metrics reader went away", "error", fmt.Errorf("write metrics: %w", err))
			return
		}
	}
}
