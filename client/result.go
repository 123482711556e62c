package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// ErrNoBackend means that a result was asked for without a result backend.
var ErrNoBackend = errors.New("no result backend: give client.Config one")

// Result is the handle of a task's result, or of the results of a group. It is
// safe for concurrent use.
type Result struct {
	// ID is the task id, or the group id when Members is not nil.
	ID string
	// Members are the task ids of a group in order, those of nested groups in
	// their place.
	Members []string

	tuple   protocol.Tuple
	backend backend.Backend
}

// result is the handle of what a plan sends.
func (c *Client) result(p protocol.Plan) (*Result, error) {
	if len(p.Sends) == 1 && p.Sends[0].Task.ID == p.ID { // a single task
		return c.Result(p.ID), nil
	}
	t, err := protocol.DecodeTuple(p.Result)
	if err != nil {
		return nil, err
	}
	return handle(c.cfg.Backend, t), nil
}

// Result returns the handle of a task by its id.
func (c *Client) Result(id string) *Result { return handle(c.cfg.Backend, protocol.Tuple{ID: id}) }

func handle(b backend.Backend, t protocol.Tuple) *Result {
	r := &Result{ID: t.ID, tuple: t, backend: b}
	if t.Group {
		r.Members = append([]string{}, t.Tasks()...)
	}
	return r
}

// leaves are the task ids whose results r stands for.
func (r *Result) leaves() []string {
	if r.Members != nil {
		return r.Members
	}
	return []string{r.ID}
}

// Parent is the handle of the step before in a chain, or of the header of the
// chord whose body this is; nil for a first step and for a handle by id.
func (r *Result) Parent() *Result {
	if r.tuple.Parent == nil {
		return nil
	}
	return handle(r.backend, *r.tuple.Parent)
}

// TaskError is a task's failure or revocation. It is matched with errors.As.
type TaskError struct {
	TaskID string
	// State is FAILURE or REVOKED.
	State string
	// Exception names the class and module and holds the arguments; its Error
	// is the message alone.
	Exception *protocol.Exception
	Traceback string
}

// Error names the exception and the task.
func (e *TaskError) Error() string {
	if len(e.Exception.Args) == 0 { // its text is its class
		return fmt.Sprintf("task %s: %s", e.TaskID, e.Exception.Type)
	}
	return fmt.Sprintf("task %s: %s: %s", e.TaskID, e.Exception.Type, e.Exception.Error())
}

func taskError(r *protocol.Result) error {
	return &TaskError{TaskID: r.TaskID, State: r.Status, Exception: protocol.DecodeException(r.Value), Traceback: r.Traceback}
}

// State returns what is stored now for a task; PENDING when nothing is.
func (r *Result) State(ctx context.Context) (*protocol.Result, error) {
	if r.backend == nil {
		return nil, ErrNoBackend
	}
	return r.backend.Get(ctx, r.ID)
}

// Ready reports whether the task has ended, or every member of the group.
func (r *Result) Ready(ctx context.Context) (bool, error) {
	n, err := r.count(ctx, (*protocol.Result).Ready)
	return n == len(r.leaves()), err
}

// Completed is how many members of the group have succeeded, as Celery's
// completed_count; of a task, 0 or 1.
func (r *Result) Completed(ctx context.Context) (int, error) {
	return r.count(ctx, func(s *protocol.Result) bool { return s.Status == protocol.StateSuccess })
}

func (r *Result) count(ctx context.Context, is func(*protocol.Result) bool) (int, error) {
	if r.backend == nil {
		return 0, ErrNoBackend
	}
	n := 0
	for _, id := range r.leaves() {
		s, err := r.backend.Get(ctx, id)
		if err != nil {
			return n, fmt.Errorf("state of task %s: %w", id, err)
		}
		if is(s) {
			n++
		}
	}
	return n, nil
}

// Children are the handles of what a task has sent so far as its result names
// it: its callbacks, the next step of its chain, and what its function sent
// itself. Those of a group are its members.
func (r *Result) Children(ctx context.Context) ([]*Result, error) {
	tuples := r.tuple.Members
	if r.Members == nil {
		s, err := r.State(ctx)
		if err != nil {
			return nil, err
		}
		tuples = make([]protocol.Tuple, len(s.Children))
		for i, raw := range s.Children {
			if tuples[i], err = protocol.DecodeTuple(raw); err != nil {
				return nil, fmt.Errorf("children of task %s: %w", r.ID, err)
			}
		}
	}
	out := make([]*Result, len(tuples))
	for i, t := range tuples {
		out[i] = handle(r.backend, t)
	}
	return out, nil
}

// Forget deletes the stored result, and those of the steps before it.
func (r *Result) Forget(ctx context.Context) error {
	if r.backend == nil {
		return ErrNoBackend
	}
	for at := r; at != nil; at = at.Parent() {
		for _, id := range at.leaves() {
			if err := r.backend.Forget(ctx, id); err != nil {
				return fmt.Errorf("forget task %s: %w", id, err)
			}
		}
	}
	return nil
}
