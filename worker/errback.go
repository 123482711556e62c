package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// ErrbackFunc is an error callback: it gets the failed request, its exception
// and traceback. Of a failed chord body, and where the errback comes as a
// message, the request has little more than its ID.
type ErrbackFunc func(ctx context.Context, request *Task, exc *protocol.Exception, traceback string) error

// Errback registers an error callback (link_error). When a task fails here that
// names it, it is called at once, in the failed task's slot, as Celery does with
// errbacks of several parameters; its error is logged. FromContext then returns
// the errback's own signature as a task, with the arguments stored in it; what
// it sends is a child of the failed task.
//
// Where another worker sees the failure, the errback comes as a message with the
// failed id alone; exception and traceback are then read from the result backend
// and are nil and "" without one that can be asked (rpc cannot).
func Errback(w *Worker, name string, fn ErrbackFunc, opts ...Option) error {
	if fn == nil {
		return fmt.Errorf("register errback %q: a function is needed", name)
	}
	err := w.Register(name, func(ctx context.Context, t *Task) (any, error) {
		return nil, w.errbackByID(ctx, t, fn)
	}, opts...)
	if err == nil {
		w.registry[name].errback = fn
	}
	return err
}

func (w *Worker) errbackByID(ctx context.Context, t *Task, fn ErrbackFunc) error {
	failed := &protocol.Task{}
	if len(t.Args) == 0 || protocol.Unmarshal(t.Args[0], &failed.ID) != nil {
		return typeError(t, "an errback takes the id of the failed task")
	}
	if w.cfg.Backend == nil {
		return fn(ctx, &Task{Task: failed, Hostname: t.Hostname}, nil, "")
	}
	res, err := w.cfg.Backend.Get(ctx, failed.ID)
	if errors.Is(err, backend.ErrUnsupported) { // results are messages to somebody else
		return fn(ctx, &Task{Task: failed, Hostname: t.Hostname}, nil, "")
	}
	if err != nil {
		return fmt.Errorf("result of the failed task %s: %w", failed.ID, err)
	}
	failed.Group, failed.ParentID = res.GroupID, res.ParentID
	var exc *protocol.Exception
	if protocol.Exceptional(res.Status) {
		exc = protocol.DecodeException(res.Value)
	}
	return fn(ctx, &Task{Task: failed, Hostname: t.Hostname}, exc, res.Traceback)
}

// callInline calls an errback within the settling of the task that failed.
func (w *Worker) callInline(ctx context.Context, t *protocol.Task, reg *registration, sig protocol.Signature, e *protocol.Exception, traceback string) {
	own, err := taskOf(sig)
	if err == nil {
		own.RootID, own.ParentID = rootOf(t), t.ID
		self := &Task{Task: own, Hostname: w.name, worker: w}
		request := &Task{Task: t, Queue: t.RoutingKey, Hostname: w.name}
		ctx = client.WithParent(withTask(ctx, self), client.Parent{RootID: rootOf(t), ID: t.ID})
		err = protected(func() error { return reg.errback(ctx, request, e, traceback) })
	}
	if err != nil {
		w.log.Error("errback failed", "errback", sig.Task, "task", t.DisplayName(), "id", t.ID, "error", err)
	}
}

// taskOf is a plain signature as the task that it would be.
func taskOf(sig protocol.Signature) (*protocol.Task, error) {
	plan, err := protocol.Apply(sig, nil, nil, protocol.Env{NewID: func() string { return "" }})
	if err != nil {
		return nil, err
	}
	if len(plan.Sends) != 1 {
		return nil, fmt.Errorf("signature of %s is not a single task", sig.Task)
	}
	return plan.Sends[0].Task, nil
}

// protected turns a panic into an error.
func protected(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return do()
}
