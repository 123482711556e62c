package worker

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/hoststat"
	"github.com/umbel-go/umbel/internal/version"
	"github.com/umbel-go/umbel/protocol"
)

// Limits of the event dispatcher: a batch is what Celery sends at most at once;
// what waits while the broker is away is bounded, oldest dropped first.
const (
	eventBatch   = 24
	eventBacklog = 10_000
)

// events sends a worker's events from one goroutine, so that a slow broker
// delays no task.
type events struct {
	w       *Worker
	enabled atomic.Bool // task events; worker events always flow

	mu      sync.Mutex // guards queue and dropped
	queue   []*protocol.Event
	dropped int
	wake    chan struct{}
}

func newEvents(w *Worker) *events {
	e := &events{w: w, wake: make(chan struct{}, 1)}
	e.enabled.Store(w.cfg.TaskEvents)
	return e
}

// task queues a task event if task events are on.
func (e *events) task(kind, id string, fields protocol.Object) {
	if !e.enabled.Load() {
		return
	}
	e.push(kind, append(protocol.Object{{Name: "uuid", Value: id}}, fields...))
}

func (e *events) push(kind string, fields protocol.Object) {
	now := time.Now()
	ev := &protocol.Event{
		Type: kind, Hostname: e.w.name, UTCOffset: protocol.UTCOffset(now), PID: os.Getpid(),
		Clock: e.w.client.Clock().Forward(), Timestamp: protocol.Seconds(now), Fields: fields,
	}
	e.mu.Lock()
	if len(e.queue) >= eventBacklog {
		e.queue = e.queue[1:]
		e.dropped++
	}
	e.queue = append(e.queue, ev)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// worker queues a worker-* event with Celery's fields.
func (e *events) worker(kind string) {
	e.push(kind, protocol.Object{
		{Name: "freq", Value: e.w.cfg.Heartbeat.Seconds()}, {Name: "active", Value: e.w.active.len()},
		{Name: "processed", Value: e.w.accepted.Load()}, {Name: "loadavg", Value: hoststat.Load()},
		{Name: "sw_ident", Value: "umbel"}, {Name: "sw_ver", Value: version.String}, {Name: "sw_sys", Value: hoststat.System()},
	})
}

// run sends what is queued and the heartbeats until ctx ends, then the rest and
// worker-offline. The worker counts as online once it consumes.
func (e *events) run(ctx context.Context) {
	select {
	case <-e.w.online:
		e.worker(protocol.EventWorkerOnline)
	case <-ctx.Done():
		return
	}
	beat := time.NewTicker(e.w.cfg.Heartbeat)
	defer beat.Stop()
	var pause broker.Backoff
	for {
		if err := e.flush(ctx); err != nil && ctx.Err() == nil {
			e.w.log.Warn("cannot send events, keeping them", "error", err)
			if pause.Wait(ctx) {
				continue
			}
		} else {
			pause.Reset()
		}
		select {
		case <-e.wake:
		case <-beat.C:
			e.worker(protocol.EventWorkerHeartbeat)
		case <-ctx.Done():
			e.farewell(context.WithoutCancel(ctx))
			return
		}
	}
}

func (e *events) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	e.worker(protocol.EventWorkerOffline)
	if err := e.flush(ctx); err != nil {
		e.w.log.Warn("cannot send the last events", "error", err)
	}
}

// flush publishes the queue in order: runs of task events as batches, worker
// events alone.
func (e *events) flush(ctx context.Context) error {
	for {
		batch := e.peek()
		if len(batch) == 0 {
			return nil
		}
		m, key, err := protocol.EncodeEvents(batch...)
		if err == nil {
			err = e.w.cfg.Broker.Publish(ctx, broker.Publishing{
				Exchange: protocol.EventExchange, Kind: broker.Topic, RoutingKey: key, Message: m,
			})
			if err != nil {
				return err
			}
		} else {
			e.w.log.Error("dropped events that cannot be encoded", "error", err)
		}
		e.drop(batch)
	}
}

func (e *events) peek() []*protocol.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for n < len(e.queue) && n < eventBatch && e.queue[n].IsTask() {
		n++
	}
	if n == 0 && len(e.queue) > 0 {
		n = 1
	}
	return append([]*protocol.Event(nil), e.queue[:n]...)
}

// drop forgets a batch that was sent; push may have dropped some of it already.
func (e *events) drop(batch []*protocol.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last := batch[len(batch)-1]
	for i, ev := range e.queue {
		if ev == last {
			e.queue = e.queue[i+1:]
			break
		}
	}
	if e.dropped > 0 {
		e.w.log.Warn("events were lost while the broker was away", "count", e.dropped)
		e.dropped = 0
	}
}
