package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// Get waits until the result is there and stores it in what into points to
// (nil: nothing is stored). Of a group into takes the list, nested as the groups
// are. A task that failed or was revoked is a *TaskError, also when it is a step
// before in the same chain, since what comes after it will never run.
//
// Waiting ends with ctx, and only with ctx for a task whose result is ignored:
// nothing is ever stored for it.
func (r *Result) Get(ctx context.Context, into any) error {
	v, err := collect(ctx, r)
	if err == nil {
		err = store(v[0], into)
	}
	var failed *TaskError
	if errors.As(err, &failed) && failed.TaskID == r.ID {
		return err // it names the task
	}
	if err != nil {
		return fmt.Errorf("result of task %s: %w", r.ID, err)
	}
	return nil
}

// GetAll waits for all results, which come from one client, with one watch, and
// stores the list of them in what into points to. The first failure ends it, as
// in Get.
func GetAll(ctx context.Context, into any, results ...*Result) error {
	v, err := collect(ctx, results...)
	if err == nil {
		err = store(v, into)
	}
	if err != nil {
		return fmt.Errorf("results of %d tasks: %w", len(results), err)
	}
	return nil
}

func store(v, into any) error {
	if into == nil {
		return nil
	}
	raw, err := protocol.Marshal(v)
	if err != nil {
		return err
	}
	return protocol.Unmarshal(raw, into)
}

// collect waits for the values of results.
func collect(ctx context.Context, results ...*Result) ([]any, error) {
	values := make([]any, len(results))
	if len(results) == 0 {
		return values, nil
	}
	b := results[0].backend
	if b == nil {
		return nil, ErrNoBackend
	}
	w := wanted{values: map[string]protocol.Raw{}, before: map[string]bool{}}
	for _, r := range results {
		w.add(r.tuple)
	}
	if err := w.wait(ctx, b); err != nil {
		return nil, err
	}
	for i, r := range results {
		values[i] = w.value(r.tuple)
	}
	return values, nil
}

// wanted is what one call of Get waits for.
type wanted struct {
	// values are the results by task id, nil while they are awaited.
	values map[string]protocol.Raw
	// before are the steps that lead to them.
	before map[string]bool
}

// add wants a task, or a group with all that is in it.
func (w *wanted) add(t protocol.Tuple) {
	if !t.Group {
		w.values[t.ID] = nil
	}
	for _, m := range t.Members {
		w.add(m)
	}
	for p := t.Parent; p != nil; p = p.Parent {
		if !p.Group { // the failure of a header reaches the body by itself
			w.before[p.ID] = true
		}
	}
}

// wait fills in the values or returns the first failure.
func (w *wanted) wait(ctx context.Context, b backend.Backend) error {
	missing := len(w.values)
	if missing == 0 {
		return nil
	}
	ids := make([]string, 0, missing+len(w.before))
	for id := range w.values {
		ids = append(ids, id)
	}
	for id := range w.before {
		if _, twice := w.values[id]; !twice {
			ids = append(ids, id)
		}
	}
	watch, err := b.Watch(ctx, ids...)
	if err != nil {
		return err
	}
	defer watch.Close()
	for missing > 0 {
		res, err := watch.Next(ctx)
		switch {
		case err != nil:
			return err
		case !res.Ready():
			continue
		case res.Status != protocol.StateSuccess:
			return taskError(res)
		}
		if have, awaited := w.values[res.TaskID]; awaited && have == nil {
			if res.Value == nil { // a meta without the member
				res.Value = protocol.Raw("null")
			}
			w.values[res.TaskID] = res.Value
			missing--
		}
	}
	return nil
}

// value is the value of a task, or the list of a group's.
func (w *wanted) value(t protocol.Tuple) any {
	if !t.Group {
		return w.values[t.ID]
	}
	list := make([]any, len(t.Members))
	for i, m := range t.Members {
		list[i] = w.value(m)
	}
	return list
}
