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

// Result is the handle of a task sent, or of all members of a group.
type Result struct {
	// ID is the task id, or the group id when Members is not nil.
	ID string
	// Members are the task ids of a group in order.
	Members []string

	backend backend.Backend
}

func (c *Client) result(p protocol.Plan) *Result {
	return &Result{ID: p.ID, Members: p.Members, backend: c.cfg.Backend}
}

// Result returns the handle of a task by its id.
func (c *Client) Result(id string) *Result { return &Result{ID: id, backend: c.cfg.Backend} }

// TaskError is a task's failure or revocation. It is matched with errors.As.
type TaskError struct {
	TaskID string
	// State is FAILURE or REVOKED.
	State string
	// Exception names the class and holds the arguments.
	Exception *protocol.Exception
	Traceback string
}

// Error names the exception and the task.
func (e *TaskError) Error() string {
	return fmt.Sprintf("task %s: %s: %s", e.TaskID, e.Exception.Type, e.Exception.Error())
}

// Get waits until the result is there and stores it in what into points to
// (nil: nothing is stored). For a group into takes the list. A failed task is a
// *TaskError; waiting ends with ctx.
func (r *Result) Get(ctx context.Context, into any) error {
	if r.backend == nil {
		return ErrNoBackend
	}
	ids := r.Members
	if ids == nil {
		ids = []string{r.ID}
	}
	values, err := r.collect(ctx, ids)
	if err != nil || into == nil {
		return err
	}
	var raw protocol.Raw
	if r.Members == nil {
		raw = values[0]
	} else if raw, err = protocol.Marshal(values); err != nil {
		return err
	}
	if err := protocol.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("result of task %s: %w", r.ID, err)
	}
	return nil
}

// collect waits for all ids and returns their values in order, or the first
// failure.
func (r *Result) collect(ctx context.Context, ids []string) ([]protocol.Raw, error) {
	if len(ids) == 0 {
		return []protocol.Raw{}, nil
	}
	w, err := r.backend.Watch(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("wait for task %s: %w", r.ID, err)
	}
	defer w.Close()
	done := make(map[string]protocol.Raw, len(ids))
	for len(done) < len(ids) {
		res, err := w.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("wait for task %s: %w", r.ID, err)
		}
		if !res.Ready() {
			continue
		}
		if res.Status != protocol.StateSuccess {
			return nil, taskError(res)
		}
		done[res.TaskID] = res.Value
	}
	values := make([]protocol.Raw, len(ids))
	for i, id := range ids {
		values[i] = done[id]
	}
	return values, nil
}

func taskError(r *protocol.Result) error {
	return &TaskError{TaskID: r.TaskID, State: r.Status, Exception: protocol.DecodeException(r.Value), Traceback: r.Traceback}
}

// State returns what is stored now; PENDING when nothing is.
func (r *Result) State(ctx context.Context) (*protocol.Result, error) {
	if r.backend == nil {
		return nil, ErrNoBackend
	}
	return r.backend.Get(ctx, r.ID)
}

// Forget deletes the stored result.
func (r *Result) Forget(ctx context.Context) error {
	if r.backend == nil {
		return ErrNoBackend
	}
	return r.backend.Forget(ctx, r.ID)
}
