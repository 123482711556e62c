package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// state is how the run of a task ended.
type state int

const (
	succeeded state = iota
	failed
	retried
	rejected
	ignored
	replaced
	revoked
	interrupted // by shutdown or a lost claim
)

// outcome is the one value that the settling of a task starts from.
type outcome struct {
	state     state
	result    protocol.Raw
	exception *protocol.Exception
	traceback string
	children  []protocol.Raw // result tuples of what the task has sent
	runtime   time.Duration
	requeue   bool   // rejected
	reason    string // revoked: "revoked", "expired" or "terminated"
	err       error  // failed: what the handler returned
	timedOut  bool   // failed: by its hard limit

	eta    time.Time           // retried
	args   []protocol.Raw      // retried with other arguments
	kwargs []protocol.RawField // likewise

	replacement protocol.Signature // replaced
}

// failing is the outcome turned into a failure with the given cause.
func (o outcome) failing(cause error) outcome {
	f := failure(cause)
	f.children, f.runtime = o.children, o.runtime
	return f
}

// raised are the fields of the events of a failure or retry.
func (o outcome) raised() protocol.Object {
	return protocol.Object{{Name: "exception", Value: o.exception.Repr()}, {Name: "traceback", Value: o.traceback}}
}

// rejects reports whether a late-acknowledged message is rejected instead of
// acknowledged.
func (o outcome) rejects(reg *registration) bool {
	switch {
	case o.state == failed && o.timedOut:
		return reg.options.requeueTimedOut
	case o.state == failed:
		return reg.options.rejectFailed
	}
	return o.state == rejected
}

// RetryError is returned by a task that wants to run again.
type RetryError struct {
	// Err is why; it is stored with state RETRY.
	Err error
	// Delay is the pause before the next run; 0 means the task's default.
	Delay time.Duration
	// Args and Kwargs replace the arguments of the next run; nil keeps them.
	Args   []any
	Kwargs protocol.Object
}

// Error describes the retry.
func (e *RetryError) Error() string { return fmt.Sprintf("retry in %v: %v", e.Delay, e.Err) }

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Err }

// Retry makes the task run again after a delay (0: the default of its
// registration), unless its retries are used up: then err is its failure.
func Retry(err error, delay time.Duration) error { return &RetryError{Err: err, Delay: delay} }

// RejectError is returned by a task that does not want its message.
type RejectError struct {
	Reason  string
	Requeue bool
}

// Error describes the rejection.
func (e *RejectError) Error() string { return "rejected: " + e.Reason }

// Reject drops the message of a late-acknowledged task, or with requeue puts it
// back on the queue.
func Reject(reason string, requeue bool) error { return &RejectError{Reason: reason, Requeue: requeue} }

// ReplaceError is returned by a task that another takes the place of.
type ReplaceError struct{ Signature protocol.Signature }

// Error names the replacement.
func (e *ReplaceError) Error() string { return "replaced by " + e.Signature.Task }

// Replace ends the task and sends sig in its place, as Celery's Task.replace: it
// gets the task's id, its membership in group and chord, its callbacks, errbacks
// and what is left of its chain. A group becomes a chord whose body returns the
// list of results.
func Replace(sig protocol.Signature) error { return &ReplaceError{sig} }

// ErrIgnore is what Ignore returns.
var ErrIgnore = errors.New("task result ignored")

// Ignore ends a task without storing a result, as Celery's Ignore.
func Ignore() error { return ErrIgnore }

// ExceptionError is an error that names the Python class to raise.
type ExceptionError struct{ Exception *protocol.Exception }

// Error is the exception's message with its class.
func (e *ExceptionError) Error() string { return e.Exception.Type + ": " + e.Exception.Error() }

// Exception is an error that Python raises as the class named, looked up in the
// module ("builtins", "ValueError"), with the arguments given.
func Exception(module, class string, args ...any) error {
	return &ExceptionError{&protocol.Exception{Module: module, Type: class, Args: args}}
}

// exceptionOf turns a Go error into what Python raises.
func exceptionOf(err error) *protocol.Exception {
	var e *ExceptionError
	if errors.As(err, &e) {
		return e.Exception
	}
	if errors.Is(err, ErrSoftLimit) {
		return &protocol.Exception{Module: "billiard.exceptions", Type: "SoftTimeLimitExceeded"}
	}
	return protocol.NewException(err.Error())
}

// outcomeOf decides what a handler's return means; cause is why its context
// ended, nil while it is alive. What ended it from outside is decided elsewhere.
func outcomeOf(t *protocol.Task, opts options, value any, err, cause error, now time.Time) outcome {
	var retry *RetryError
	var reject *RejectError
	var replace *ReplaceError
	switch {
	case err == nil:
		return success(value)
	case errors.Is(err, context.Canceled) && errors.Is(cause, ErrSoftLimit):
		return failure(ErrSoftLimit)
	case errors.Is(err, ErrIgnore):
		return outcome{state: ignored}
	case errors.As(err, &reject):
		return outcome{state: rejected, requeue: reject.Requeue, exception: &protocol.Exception{
			Module: "celery.exceptions", Type: "Reject", Args: []any{reject.Reason, reject.Requeue}}}
	case errors.As(err, &replace):
		return outcome{state: replaced, replacement: replace.Signature}
	case errors.As(err, &retry):
		return retryOutcome(t, opts, retry, now)
	}
	return failure(err)
}

// success checks that the value is JSON: a RawMessage may hold anything.
func success(value any) outcome {
	raw, err := protocol.Marshal(value)
	if err == nil {
		_, err = protocol.Decode(raw)
	}
	if err != nil {
		return failure(fmt.Errorf("result cannot be stored: %w", err))
	}
	return outcome{state: succeeded, result: raw}
}

func failure(err error) outcome {
	return outcome{state: failed, err: err, exception: exceptionOf(err), traceback: err.Error() + "\n"}
}

// retryOutcome holds to the limit of retries: beyond it the cause is the
// failure.
func retryOutcome(t *protocol.Task, opts options, r *RetryError, now time.Time) outcome {
	if opts.maxRetries >= 0 && t.Retries >= opts.maxRetries {
		if r.Err != nil {
			return failure(r.Err)
		}
		return failure(Exception("celery.exceptions", "MaxRetriesExceededError",
			fmt.Sprintf("Can't retry %s[%s] args:%s kwargs:%s", t.Name, t.ID, t.ArgsRepr, t.KwargsRepr)))
	}
	delay := r.Delay
	if delay <= 0 {
		delay = opts.retryDelay
	}
	o := outcome{state: retried, eta: now.Add(delay)}
	var err error
	if o.args, o.kwargs, err = r.arguments(); err != nil {
		return failure(fmt.Errorf("retry with other arguments: %w", err))
	}
	cause := r.Err
	if cause == nil {
		cause = errors.New("retry")
	}
	o.exception, o.traceback = exceptionOf(cause), cause.Error()+"\n"
	return o
}

// arguments are those of the next run as the message holds them, nil where they
// stay.
func (e *RetryError) arguments() (args []protocol.Raw, kwargs []protocol.RawField, err error) {
	if e.Args != nil {
		args = make([]protocol.Raw, len(e.Args))
	}
	for i, a := range e.Args {
		if args[i], err = protocol.Marshal(a); err != nil {
			return nil, nil, fmt.Errorf("argument %d: %w", i, err)
		}
	}
	if e.Kwargs != nil {
		kwargs = make([]protocol.RawField, len(e.Kwargs))
	}
	for i, f := range e.Kwargs {
		kwargs[i].Name = f.Name
		if kwargs[i].Value, err = protocol.Marshal(f.Value); err != nil {
			return nil, nil, fmt.Errorf("argument %s: %w", f.Name, err)
		}
	}
	return args, kwargs, nil
}

func workerLost(cause error) *protocol.Exception {
	return &protocol.Exception{Module: "billiard.exceptions", Type: "WorkerLostError", Args: []any{cause.Error()}}
}
