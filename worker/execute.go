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

// returned is what a handler left behind.
type returned struct {
	value any
	err   error
	stack string // of a panic
}

// execute runs the handler under its limits and never touches the broker. A
// task that outlives its hard limit is abandoned: its goroutine may go on, its
// outcome is decided.
func (w *Worker) execute(ctx context.Context, d broker.Delivery, t *protocol.Task, reg *registration) outcome {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	task := &Task{Task: t, Queue: d.Queue(), Hostname: w.name}
	running := w.active.add(task, cancel, time.Now())
	defer w.active.remove(running)
	w.count(t.Name)
	w.events.task(protocol.EventTaskStarted, t.ID, nil)
	soft, hard := limits(t, reg.options)
	defer stopTimer(after(soft, func() { cancel(ErrSoftLimit) }))
	tooLate := make(chan struct{})
	defer stopTimer(after(hard, func() { cancel(ErrHardLimit); close(tooLate) }))
	done := make(chan returned, 1)
	begun := time.Now()
	go func() { done <- call(context.WithValue(ctx, taskKey{}, task), reg.handler, task) }()
	var r returned
	lostClaim := d.Lost()
	if !reg.options.acksLate {
		lostClaim = nil // acknowledged already
	}
wait:
	for {
		select {
		case r = <-done:
			break wait
		case <-lostClaim:
			cancel(ErrClaimLost)
			lostClaim = nil
		case <-tooLate:
			return outcome{state: failed, runtime: time.Since(begun), exception: &protocol.Exception{
				Module: "billiard.exceptions", Type: "TimeLimitExceeded", Args: []any{hard.Seconds()}}}
		}
	}
	out := outcomeOf(t, reg.options, r.value, r.err, context.Cause(ctx), time.Now())
	if r.stack != "" {
		out.traceback = r.stack
	}
	out.runtime = time.Since(begun)
	return out
}

// call runs a handler and turns a panic into an error with its stack.
func call(ctx context.Context, h Handler, t *Task) (r returned) {
	defer func() {
		if p := recover(); p != nil {
			err, ok := p.(error)
			if !ok {
				err = errors.New(fmt.Sprint(p))
			}
			r = returned{err: fmt.Errorf("panic: %w", err), stack: string(debug.Stack())}
		}
	}()
	v, err := h(ctx, t)
	return returned{value: v, err: err}
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
