package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// yieldGrace is how long a task may take to return after a shutdown interrupted
// it or its claim was lost.
const yieldGrace = time.Second

var errGone = errors.New("the handler ended its goroutine (runtime.Goexit)")

// execute runs the handler under its limits and never touches the broker. ctx is
// the task's own; the end of run is a shutdown. A task that outlives its hard
// limit or a terminate is abandoned: its outcome is decided and its slot is free,
// while its goroutine may go on.
func (w *Worker) execute(ctx, run context.Context, d broker.Delivery, task *Task, reg *registration) outcome {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := w.active.add(task, cancel, time.Now())
	defer w.active.remove(r)
	w.count(task.Name)
	w.events.task(protocol.EventTaskStarted, task.ID, nil)
	w.putStarted(ctx, task.Task, reg)
	soft, hard := limits(task.Task, reg.options)
	defer stopTimer(after(soft, func() { cancel(ErrSoftLimit) }))
	defer stopTimer(after(hard, func() { r.end(ErrHardLimit) }))
	done := make(chan outcome, 1)
	go func() {
		out := failure(errGone)
		defer func() { done <- out; w.slots.returned(r) }() // runs on Goexit too
		out = invoke(withTask(ctx, task), reg, task)
	}()
	lostClaim := d.Lost()
	if !reg.options.acksLate {
		lostClaim = nil // acknowledged already
	}
	out := w.await(r, done, run.Done(), lostClaim, hard)
	out.runtime, out.children = time.Since(r.since), task.sent.list()
	return out
}

// await waits for the handler or for what ends it first.
func (w *Worker) await(r *run, done <-chan outcome, shutdown, lostClaim <-chan struct{}, hard time.Duration) outcome {
	for {
		select {
		case out := <-done:
			return settledBy(out, causeOf(r, shutdown, lostClaim), hard)
		case <-shutdown:
			r.end(ErrShutdown)
			shutdown = nil
		case <-lostClaim:
			r.end(ErrClaimLost)
			lostClaim = nil
		case cause := <-r.ended:
			return w.cutShort(r, done, cause, hard)
		}
	}
}

// causeOf is why a handler that has just returned was being ended, nil if it was
// not.
func causeOf(r *run, shutdown, lostClaim <-chan struct{}) error {
	select {
	case cause := <-r.ended:
		return cause
	case <-lostClaim:
		return ErrClaimLost
	case <-shutdown:
		return ErrShutdown
	default:
		return nil
	}
}

// settledBy decides between a handler's own outcome and what was ending it. The
// outcome of a lost claim belongs to its new holder; otherwise what the handler
// reached by itself stands.
func settledBy(out outcome, cause error, hard time.Duration) outcome {
	stopped := out.state == failed && (errors.Is(out.err, context.Canceled) || errors.Is(out.err, cause))
	switch {
	case cause == ErrClaimLost, cause == ErrShutdown && stopped:
		return outcome{state: interrupted, exception: workerLost(cause)}
	case cause == ErrRevoked && stopped:
		return outcome{state: revoked, reason: "terminated"}
	case cause == ErrHardLimit && stopped:
		return limitExceeded(hard)
	}
	return out
}

func limitExceeded(hard time.Duration) outcome {
	return outcome{state: failed, timedOut: true, exception: &protocol.Exception{
		Module: "billiard.exceptions", Type: "TimeLimitExceeded", Args: []any{hard.Seconds()}}}
}

// cutShort decides the outcome of a task that is ended from outside while it
// runs. A limit or a terminate is decided at once; otherwise the task may still
// return.
func (w *Worker) cutShort(r *run, done <-chan outcome, cause error, hard time.Duration) outcome {
	switch cause {
	case ErrHardLimit:
		w.slots.abandon(r)
		return limitExceeded(hard)
	case ErrRevoked:
		w.slots.abandon(r)
		return outcome{state: revoked, reason: "terminated"}
	}
	grace := time.NewTimer(yieldGrace)
	defer grace.Stop()
	select {
	case out := <-done:
		return settledBy(out, cause, hard)
	case <-grace.C:
		w.slots.abandon(r)
		return outcome{state: interrupted, exception: workerLost(cause)}
	}
}

// invoke runs a handler to its outcome. A panic, in the handler or in what its
// result or error does when it is read, is a failure with a stack.
func invoke(ctx context.Context, reg *registration, t *Task) (out outcome) {
	defer func() {
		if p := recover(); p != nil {
			out = failure(fmt.Errorf("panic: %v", p))
			out.traceback = string(debug.Stack())
		}
	}()
	value, err := reg.handler(ctx, t)
	return outcomeOf(t.Task, reg.options, value, err, context.Cause(ctx), time.Now())
}

// limits are those of the message, else those of the registration.
func limits(t *protocol.Task, o options) (soft, hard time.Duration) {
	soft, hard = o.softLimit, o.hardLimit
	if t.SoftLimit > 0 {
		soft = time.Duration(t.SoftLimit * float64(time.Second))
	}
	if t.HardLimit > 0 {
		hard = time.Duration(t.HardLimit * float64(time.Second))
	}
	return soft, hard
}

func after(d time.Duration, do func()) *time.Timer {
	if d <= 0 {
		return nil
	}
	return time.AfterFunc(d, do)
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
