package worker

import (
	"context"
	"fmt"
	"sort"
	"time"
)

// Handler is the untyped core that the three forms of registration compile to.
// The value that it returns is stored as the result.
type Handler func(ctx context.Context, t *Task) (any, error)

// options are the settings of one registration over the worker's defaults.
type options struct {
	acksLate     bool
	ignoreResult bool
	storeErrors  bool
	trackStarted bool
	// rejectFailed and requeueTimedOut are what happens to a late-acknowledged
	// message instead of its acknowledgement.
	rejectFailed    bool
	requeueTimedOut bool

	maxRetries int // negative: no limit
	retryDelay time.Duration
	softLimit  time.Duration
	hardLimit  time.Duration
	params     []string
}

// Option is one setting of a task.
type Option func(*options)

// Params names the parameters of a Func after its context, so that Python may
// pass them by keyword.
func Params(names ...string) Option { return func(o *options) { o.params = names } }

// AcksLate acknowledges the message after the task has run, so that it runs
// again elsewhere when this worker dies (Celery acks_late). Default: the
// worker's.
func AcksLate(late bool) Option { return func(o *options) { o.acksLate = late } }

// IgnoreResult stores no result, unless the sender asks for one.
func IgnoreResult() Option { return func(o *options) { o.ignoreResult = true } }

// AcksOnFailure false drops the message of a late-acknowledged task that failed
// by rejecting it, so that RabbitMQ may dead-letter it (Celery acks_on_failure).
// Default true.
func AcksOnFailure(acks bool) Option { return func(o *options) { o.rejectFailed = !acks } }

// AcksOnTimeout false puts the message of a late-acknowledged task that passed
// its hard time limit back on the queue (Celery acks_on_timeout). Default true.
func AcksOnTimeout(acks bool) Option { return func(o *options) { o.requeueTimedOut = !acks } }

// StoreErrors stores failures, retries and revocations although the result is
// ignored (Celery store_errors_even_if_ignored). Default: the worker's.
func StoreErrors(store bool) Option { return func(o *options) { o.storeErrors = store } }

// TrackStarted stores the state STARTED when the task begins (Celery
// track_started). Default: the worker's.
func TrackStarted(track bool) Option { return func(o *options) { o.trackStarted = track } }

// MaxRetries bounds Retry; negative means no bound. Default 3, as in Celery.
func MaxRetries(n int) Option { return func(o *options) { o.maxRetries = n } }

// RetryDelay is the pause of a Retry that names none. Default 180 s, as in
// Celery.
func RetryDelay(d time.Duration) Option { return func(o *options) { o.retryDelay = d } }

// TimeLimit ends the task's context with ErrSoftLimit after soft and abandons it
// after hard; 0 means none. A limit in the message goes before both.
func TimeLimit(soft, hard time.Duration) Option {
	return func(o *options) { o.softLimit, o.hardLimit = soft, hard }
}

// registration is one task that the worker knows.
type registration struct {
	handler Handler
	options options
	errback ErrbackFunc // nil unless registered by Errback
}

// Register adds a task in its untyped form. A second registration of a name is
// an error.
func (w *Worker) Register(name string, h Handler, opts ...Option) error {
	if name == "" || h == nil {
		return fmt.Errorf("register task %q: a name and a handler are needed", name)
	}
	if _, ok := w.registry[name]; ok {
		return fmt.Errorf("register task %q: the name is taken", name)
	}
	o := options{
		acksLate: w.cfg.AcksLate, storeErrors: w.cfg.StoreErrors, trackStarted: w.cfg.TrackStarted,
		maxRetries: 3, retryDelay: 180 * time.Second,
	}
	for _, opt := range opts {
		opt(&o)
	}
	w.registry[name] = &registration{handler: h, options: o}
	return nil
}

// Raw registers a function of the undecoded task.
func Raw(w *Worker, name string, h Handler, opts ...Option) error {
	return w.Register(name, h, opts...)
}

// Must panics on a registration error; for program start.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// names lists the registered tasks in order.
func (w *Worker) names() []string {
	out := make([]string, 0, len(w.registry))
	for n := range w.registry {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
