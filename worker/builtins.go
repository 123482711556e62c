package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// registerBuiltins adds the celery.* tasks that producers and canvas rely on.
// celery.group, celery.chord and celery.chunks come as messages only from old
// producers and from canvas that holds chunks.
func (w *Worker) registerBuiltins() {
	Must(w.Register("celery.backend_cleanup", func(context.Context, *Task) (any, error) { return nil, nil })) // results expire by themselves
	Must(w.Register(protocol.TaskAccumulate, accumulate))
	Must(w.Register(protocol.TaskMap, func(ctx context.Context, t *Task) (any, error) { return w.each(ctx, t, false) }))
	Must(w.Register(protocol.TaskStarmap, func(ctx context.Context, t *Task) (any, error) { return w.each(ctx, t, true) }))
	Must(w.Register(protocol.TaskChunks, w.chunks))
	Must(w.Register(protocol.TaskGroup, w.legacyGroup))
	Must(w.Register(protocol.TaskChord, w.legacyChord))
	Must(w.Register(protocol.TaskChain, func(context.Context, *Task) (any, error) {
		return nil, Exception("builtins", "NotImplementedError", "chain is not a real task")
	}))
	Must(w.Register(protocol.TaskChordUnlock, w.unlockChord, IgnoreResult(), MaxRetries(-1), RetryDelay(time.Second)))
}

// accumulate returns its arguments, or the one that the keyword index names.
func accumulate(_ context.Context, t *Task) (any, error) {
	for _, kw := range t.Kwargs {
		if kw.Name != "index" || string(kw.Value) == "null" {
			continue
		}
		var i int
		err := json.Unmarshal(kw.Value, &i)
		if i < 0 { // counts from the end, as in Python
			i += len(t.Args)
		}
		if err != nil || i < 0 || i >= len(t.Args) {
			return nil, Exception("builtins", "IndexError", "tuple index out of range")
		}
		return t.Args[i], nil
	}
	return t.Args, nil
}

// each is celery.map and celery.starmap: the named task, which must be ours, is
// called inline for every item, under the context of the map.
func (w *Worker) each(ctx context.Context, t *Task, star bool) (any, error) {
	args, err := parameters(t, "task", "it")
	if err != nil {
		return nil, err
	}
	sig, err := signature(t, "task", args[0])
	if err != nil {
		return nil, err
	}
	items, err := protocol.SplitArray(args[1])
	if err != nil {
		return nil, typeError(t, "argument 'it': %v", err)
	}
	reg, ok := w.registry[sig.Task]
	if !ok {
		return nil, &ExceptionError{protocol.NotRegistered(sig.Task)}
	}
	out := make([]any, len(items))
	for i, item := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if out[i], err = call(ctx, t, reg, sig.Task, item, star); err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return out, nil
}

func call(ctx context.Context, t *Task, reg *registration, name string, item protocol.Raw, star bool) (any, error) {
	inner := *t.Task
	inner.Name, inner.Args, inner.Kwargs = name, []protocol.Raw{item}, nil
	if star {
		var err error
		if inner.Args, err = protocol.SplitArray(item); err != nil {
			return nil, typeError(t, "the item is no list of arguments: %v", err)
		}
	}
	return reg.handler(ctx, &Task{Task: &inner, Queue: t.Queue, Hostname: t.Hostname, worker: t.worker})
}

// chunks sends a celery.starmap for each part of the items. Its result is the
// result tuple of their group.
func (w *Worker) chunks(ctx context.Context, t *Task) (any, error) {
	args, err := parameters(t, "task", "it", "n")
	if err != nil {
		return nil, err
	}
	return w.sendChild(ctx, t, protocol.Signature{
		Task: protocol.TaskChunks, SubtaskType: protocol.SubtaskChunks,
		Kwargs: protocol.Object{{Name: "task", Value: args[0]}, {Name: "it", Value: args[1]}, {Name: "n", Value: args[2]}},
	}, nil)
}

// legacyGroup sends the tasks of a frozen group; its result is the group's
// tuple, which came with it.
func (w *Worker) legacyGroup(ctx context.Context, t *Task) (any, error) {
	args, err := parameters(t, "tasks", "result", "group_id", "partial_args")
	if err != nil {
		return nil, err
	}
	tasks, err := protocol.SplitArray(args[0])
	if err != nil {
		return nil, typeError(t, "argument 'tasks': %v", err)
	}
	partial, err := partialArgs(t, args[3])
	if err != nil {
		return nil, err
	}
	group := protocol.Object{{Name: "group_id", Value: args[2]}, {Name: "add_to_parent", Value: false}}
	for _, raw := range tasks {
		sig, err := signature(t, "tasks", raw)
		if err != nil {
			return nil, err
		}
		if _, err := w.apply(ctx, t.Task, sig, partial, group); err != nil {
			return nil, err
		}
	}
	return args[1], nil
}

// legacyChord sends a chord; its result is the tuple of the body's result. The
// arguments that tell Celery how to poll the header mean nothing here.
func (w *Worker) legacyChord(ctx context.Context, t *Task) (any, error) {
	args, err := parameters(t, "header", "body", "partial_args")
	if err != nil {
		return nil, err
	}
	partial, err := partialArgs(t, args[2])
	if err != nil {
		return nil, err
	}
	return w.sendChild(ctx, t, protocol.Signature{
		Task: protocol.TaskChord, SubtaskType: protocol.SubtaskChord,
		Kwargs: protocol.Object{{Name: "header", Value: args[0]}, {Name: "body", Value: args[1]}},
	}, partial)
}

// sendChild applies a signature and returns its result tuple, which also becomes
// one of the task's children.
func (w *Worker) sendChild(ctx context.Context, t *Task, sig protocol.Signature, args []any) (any, error) {
	plan, err := w.apply(ctx, t.Task, sig, args, nil)
	if err != nil {
		return nil, err
	}
	tuple, err := protocol.DecodeTuple(plan.Result)
	if err != nil {
		return nil, err
	}
	t.sent.add(tuple)
	return plan.Result, nil
}

// parameters binds the named parameters of a built-in task by position or
// keyword; one that is missing is null. Further arguments are left alone: newer
// and older producers have more.
func parameters(t *Task, names ...string) ([]protocol.Raw, error) {
	out := make([]protocol.Raw, len(names))
	for i, name := range names {
		out[i] = protocol.Raw("null")
		if i < len(t.Args) {
			out[i] = t.Args[i]
			continue
		}
		for _, kw := range t.Kwargs {
			if kw.Name == name {
				out[i] = kw.Value
			}
		}
		if i == 0 && string(out[0]) == "null" {
			return nil, typeError(t, "missing a required argument: %s", protocol.Repr(name))
		}
	}
	return out, nil
}

func signature(t *Task, name string, raw protocol.Raw) (protocol.Signature, error) {
	sig, err := protocol.DecodeSignature(raw)
	if err != nil {
		return sig, typeError(t, "argument %s: %v", protocol.Repr(name), err)
	}
	return sig, nil
}

func partialArgs(t *Task, raw protocol.Raw) ([]any, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	parts, err := protocol.SplitArray(raw)
	if err != nil {
		return nil, typeError(t, "argument 'partial_args': %v", err)
	}
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out, nil
}
