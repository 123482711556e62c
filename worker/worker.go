package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/protocol"
)

// Config configures a Worker. Broker is required; everything else has Celery's
// default.
type Config struct {
	Broker broker.Broker
	// Backend is where results go; nil stores none.
	Backend backend.Backend
	// Queues to consume; empty means client.DefaultQueue.
	Queues []broker.Queue
	// Concurrency is how many tasks run at once; 0 means the number of CPUs.
	Concurrency int
	// Name is the node name, in which %h stands for the host, %n for the part
	// before its first dot and %d for the rest; "" means "umbel@%h".
	Name string
	// AcksLate is the default of the registrations' option.
	AcksLate bool
	// TaskEvents sends task events from the start (celery worker -E); a monitor
	// can switch them at any time.
	TaskEvents bool
	// Heartbeat is the pause between worker-heartbeat events; 0 means 2 s.
	Heartbeat time.Duration
	// DrainTimeout bounds a warm shutdown; 0 waits for every running task. When
	// it passes, contexts end with ErrShutdown; tasks have a second to return,
	// and their outcomes as long again, at most 30 s, to be settled.
	DrainTimeout time.Duration
	// Queue, Route, Headers and SendEvents are for what follows a task and what
	// tasks send themselves; see client.Config.
	Queue      string
	Route      func(task string) client.Destination
	Headers    func(ctx context.Context) protocol.Object
	SendEvents bool
	// Context derives the context that a task runs under, and that what follows
	// it is sent under: the place for the span that a traceparent among the
	// task's headers asks for. The context given ends when the outcome of the
	// task is settled; the one returned must be derived from it.
	Context func(ctx context.Context, t *protocol.Task) context.Context
	// Accept names the serializers of tasks that are run, by name or MIME type
	// (Celery accept_content); nil means json, msgpack and yaml. Pickle reads
	// pickled tasks too, as plain values: nothing in them is ever called.
	Accept []string
	Pickle bool
	// LegacyValues is for workers with a kombu before 5.3; see client.Config.
	LegacyValues bool
	// InheritPriority gives callbacks and next steps the task's own priority
	// (Celery task_inherit_parent_priority).
	InheritPriority bool
	// ResultExtended stores name, arguments, worker, retries and queue with
	// results (Celery result_extended).
	ResultExtended bool
	// TrackStarted and StoreErrors are the defaults of the registrations'
	// options.
	TrackStarted bool
	StoreErrors  bool
	// ResultExpires is how long results are kept; 0 means as long as the
	// backend is set to (24 h by default), negative for ever.
	ResultExpires time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Worker takes tasks off queues and runs them.
type Worker struct {
	cfg      Config
	name     string
	log      *slog.Logger
	client   *client.Client
	decoder  protocol.Decoder
	registry map[string]*registration
	events   *events
	active   *activeSet
	foreign  *foreign
	revoked  *revokedSet
	started  time.Time

	slots     *slots
	announced announced
	// settling is the context of everything that follows a run. Set by consume
	// before the first claim, it outlives Run's by the time that a stopping
	// worker has to settle.
	settling context.Context

	accepted  atomic.Int64 // tasks started since the worker was
	strangers atomic.Int64 // foreign tasks in a row
	refused   refusals
	totals    sync.Map // task name -> *atomic.Int64
	consumer  atomic.Pointer[broker.Consumer]
	online    chan struct{} // closed by announce
	stop      chan struct{} // closed by a remote shutdown
	stopOnce  sync.Once
	cold      chan struct{} // closed by Interrupt
	coldOnce  sync.Once
	consuming chan struct{} // closed once messages may be claimed
	// listening is closed when remote control reaches the mailbox.
	listening  chan struct{}
	listenOnce sync.Once
}

// New returns a worker. It starts nothing.
func New(cfg Config) *Worker {
	if len(cfg.Queues) == 0 {
		cfg.Queues = []broker.Queue{{Name: client.DefaultQueue}}
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = runtime.NumCPU()
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	name := nodeName(cfg.Name)
	log := cfg.Logger.With("worker", name)
	w := &Worker{
		cfg: cfg, name: name, log: log, registry: map[string]*registration{},
		decoder: protocol.Decoder{Accept: cfg.Accept, Pickle: cfg.Pickle},
		active:  newActiveSet(), revoked: newRevokedSet(), slots: newSlots(cfg.Concurrency, log),
		online: make(chan struct{}), stop: make(chan struct{}), cold: make(chan struct{}),
		consuming: make(chan struct{}), listening: make(chan struct{}), started: time.Now(),
	}
	w.client = client.New(client.Config{
		Broker: cfg.Broker, Backend: cfg.Backend, Queue: cfg.Queue, Route: cfg.Route, Headers: cfg.Headers,
		SendEvents: cfg.SendEvents, LegacyValues: cfg.LegacyValues, Name: w.name,
	})
	w.events = newEvents(w)
	w.foreign = newForeign(name, log, w.askRegistered)
	w.registerBuiltins()
	return w
}

// nodeName expands Celery's %h, %n and %d.
func nodeName(pattern string) string {
	if pattern == "" {
		pattern = "umbel@%h"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	short, domain, _ := strings.Cut(host, ".")
	name := strings.NewReplacer("%h", host, "%n", short, "%d", domain, "%%", "%").Replace(pattern)
	if !strings.Contains(name, "@") {
		name += "@" + host
	}
	return name
}

// Name is the node name.
func (w *Worker) Name() string { return w.name }

// Client sends tasks under the worker's name and clock.
func (w *Worker) Client() *client.Client { return w.client }

// Stats are a worker's counters since it was made.
type Stats struct {
	// Started counts tasks that began to run.
	Started int64
	// Refused counts messages that were no usable task and went to the
	// dead-letter place, by what was wrong with them.
	Refused map[protocol.Kind]int64
}

// Stats returns the counters. It is safe for concurrent use.
func (w *Worker) Stats() Stats {
	return Stats{Started: w.accepted.Load(), Refused: w.refused.list()}
}

// Online is closed when the worker consumes its queues and remote control
// reaches it, or soon after if it cannot.
func (w *Worker) Online() <-chan struct{} { return w.online }

// Run consumes until ctx ends or a remote shutdown arrives, then stops warmly:
// no new task, running ones finish within DrainTimeout, unstarted messages go
// back. It returns nil after a shutdown and an error when the worker cannot
// work at all. Connection losses are survived. Run is called once.
func (w *Worker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.started = time.Now()
	// What must outlive the consuming: events of the last tasks, replies.
	side, stopSide := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { w.events.run(side) })
	wg.Go(func() { w.mailbox(side) })
	wg.Go(func() { w.announce(side) })
	wg.Go(func() { w.lookForTwin(side) })
	wg.Go(func() { w.foreign.run(side) })
	wg.Go(func() { w.janitor(side) })
	wg.Go(func() {
		select {
		case <-w.stop:
			cancel(ErrShutdown)
		case <-ctx.Done():
		}
	})
	err := w.consume(ctx)
	cancel(ErrShutdown)
	stopSide()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("worker %s: %w", w.name, err)
	}
	return nil
}

// Stop begins a warm shutdown, as the remote command does.
func (w *Worker) Stop() { w.stopOnce.Do(func() { close(w.stop) }) }

// Interrupt makes a shutdown cold: running tasks' contexts end with ErrShutdown
// now, whatever the drain timeout.
func (w *Worker) Interrupt() { w.coldOnce.Do(func() { close(w.cold) }) }

// announce closes online once messages are claimed and the mailbox listens, but
// does not wait long for the latter: tasks run without remote control too.
func (w *Worker) announce(ctx context.Context) {
	select {
	case <-w.consuming:
	case <-ctx.Done():
		return
	}
	t := time.NewTimer(listenPatience)
	defer t.Stop()
	select {
	case <-w.listening:
	case <-t.C:
	case <-ctx.Done():
		return
	}
	close(w.online)
}

// listenPatience is how long a worker that consumes waits for its mailbox before
// it counts as online.
const listenPatience = 3 * time.Second

// consume claims messages for free slots until ctx ends, then drains.
func (w *Worker) consume(ctx context.Context) error {
	if err := w.checkBackend(ctx); err != nil {
		return err
	}
	c, err := w.open(ctx)
	if err != nil || c == nil {
		return err
	}
	settling, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	w.settling = settling
	w.consumer.Store(&c)
	w.log.Info("worker is ready", "queues", queueNames(w.cfg.Queues), "concurrency", w.cfg.Concurrency,
		"broker", w.cfg.Broker.Info().URL)
	close(w.consuming)
	// The tasks' context survives ctx: a warm shutdown lets them finish.
	run, interrupt := context.WithCancelCause(context.WithoutCancel(ctx))
	defer interrupt(nil)
	w.claimLoop(ctx, run, c)
	w.drain(interrupt, giveUp)
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), w.grace())
	defer done()
	if err := c.Close(closing); err != nil {
		w.log.Warn("close consumer", "error", err)
	}
	return nil
}

// drain ends a worker warmly: first running tasks may finish, then they are
// interrupted, then what still cannot be settled is left to the broker.
func (w *Worker) drain(interrupt, giveUp context.CancelCauseFunc) {
	w.log.Info("warm shutdown: waiting for running tasks", "active", w.active.len())
	if w.slots.drain(w.cfg.DrainTimeout, w.cold) {
		return
	}
	w.log.Warn("interrupting running tasks", "active", w.active.len())
	interrupt(ErrShutdown)
	if w.slots.drain(yieldGrace+w.grace(), nil) {
		return
	}
	giveUp(ErrShutdown)
	w.slots.drain(time.Second, nil)
}

// grace is how long settling may take at the end.
func (w *Worker) grace() time.Duration {
	if w.cfg.DrainTimeout > 0 {
		return min(w.cfg.DrainTimeout, settleGrace)
	}
	return settleGrace
}

// open starts consuming, waiting for a broker that is not there yet. A nil
// consumer without an error means that ctx ended first.
func (w *Worker) open(ctx context.Context) (broker.Consumer, error) {
	var retry broker.Backoff
	for {
		c, err := w.cfg.Broker.Consume(ctx, broker.ConsumeOptions{
			Worker: w.name, Queues: w.cfg.Queues, Prefetch: w.cfg.Concurrency,
		})
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return nil, nil
		case !lost(err):
			return nil, err
		}
		w.log.Error("cannot reach the broker, trying again", "error", err)
		if !retry.Wait(ctx) {
			return nil, nil
		}
	}
}

func (w *Worker) claimLoop(ctx, run context.Context, c broker.Consumer) {
	var retry broker.Backoff
	for {
		free, ok := w.slots.wait(ctx)
		if !ok {
			return
		}
		if n := w.strangers.Load(); n > 0 {
			free = 1
			if !pause.For(ctx, courtesy(n)) {
				return
			}
		}
		deliveries, err := c.Claim(ctx, free)
		for _, d := range deliveries {
			w.slots.take()
			go func() {
				defer w.slots.release()
				w.handle(run, d)
			}()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			retry.Reset()
			continue
		case errors.Is(err, broker.ErrClosed):
			return
		}
		w.log.Error("cannot take messages, trying again", "error", err)
		if !retry.Wait(ctx) {
			return
		}
	}
}

func queueNames(queues []broker.Queue) []string {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.Name
	}
	return names
}

// lookForTwin asks for our own name once we listen: the client warns when two
// nodes answer to it.
func (w *Worker) lookForTwin(ctx context.Context) {
	select {
	case <-w.listening:
	case <-ctx.Done():
		return
	}
	_, err := w.client.Inspect(ctx, "ping", nil, client.ControlOptions{
		Destination: []string{w.name}, Timeout: 500 * time.Millisecond, Limit: 2,
	})
	if err != nil && ctx.Err() == nil {
		w.log.Debug("cannot look for a worker of the same name", "error", err)
	}
}

// askRegistered is one round of remote inspection for foreign.
func (w *Worker) askRegistered(ctx context.Context) (map[string]protocol.Raw, error) {
	return w.client.Inspect(ctx, "registered", protocol.Object{{Name: "builtins", Value: true}}, client.ControlOptions{})
}
