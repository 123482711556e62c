package worker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/umbel-go/umbel/protocol"
)

// registerBuiltins adds the celery.* tasks that producers and canvas rely on.
func (w *Worker) registerBuiltins() {
	Must(w.Register("celery.backend_cleanup", func(context.Context, *Task) (any, error) { return nil, nil }))
	Must(w.Register(protocol.TaskAccumulate, accumulate))
	Must(w.Register(protocol.TaskMap, func(ctx context.Context, t *Task) (any, error) { return w.each(ctx, t, false) }))
	Must(w.Register(protocol.TaskStarmap, func(ctx context.Context, t *Task) (any, error) { return w.each(ctx, t, true) }))
}

// accumulate returns its arguments, or the one that the keyword index names.
func accumulate(_ context.Context, t *Task) (any, error) {
	for _, kw := range t.Kwargs {
		if kw.Name != "index" || string(kw.Value) == "null" {
			continue
		}
		var i int
		if err := json.Unmarshal(kw.Value, &i); err != nil || i < 0 || i >= len(t.Args) {
			return nil, Exception("builtins", "IndexError", "tuple index out of range")
		}
		return t.Args[i], nil
	}
	return t.Args, nil
}

// each is celery.map and celery.starmap: the named task, which must be ours, is
// called inline for every item.
func (w *Worker) each(ctx context.Context, t *Task, star bool) (any, error) {
	var sig protocol.Signature
	var items []protocol.Raw
	for _, kw := range t.Kwargs {
		var err error
		switch kw.Name {
		case "task":
			sig, err = protocol.DecodeSignature(kw.Value)
		case "it":
			items, err = protocol.SplitArray(kw.Value)
		}
		if err != nil {
			return nil, typeError(t, "argument %s: %v", kw.Name, err)
		}
	}
	reg, ok := w.registry[sig.Task]
	if !ok {
		return nil, &ExceptionError{protocol.NotRegistered(sig.Task)}
	}
	out := make([]any, len(items))
	for i, item := range items {
		args := []protocol.Raw{item}
		if star {
			var err error
			if args, err = protocol.SplitArray(item); err != nil {
				return nil, fmt.Errorf("item %d: %w", i, err)
			}
		}
		inner := *t.Task
		inner.Name, inner.Args, inner.Kwargs = sig.Task, args, nil
		v, err := reg.handler(ctx, &Task{Task: &inner, Queue: t.Queue, Hostname: t.Hostname})
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		out[i] = v
	}
	return out, nil
}
