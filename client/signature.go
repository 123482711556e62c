package client

import "github.com/umbel-go/umbel/protocol"

// Task is the signature of one task: what Python writes as add.s(2, 3). Args are
// anything that protocol.Marshal takes.
func Task(name string, args ...any) protocol.Signature {
	return protocol.Signature{Task: name, Args: args}
}

// With returns the signature with options added.
func With(sig protocol.Signature, opts ...Option) protocol.Signature {
	sig = sig.Clone()
	for _, o := range opts {
		o(&sig)
	}
	return sig
}

// Chain runs tasks one after the other, each with the result of the one before
// as its first argument. As with Python's chain(a, b) and a | b, chains in it are
// spliced, a group followed by a task becomes a chord with that task as its
// body, and what follows a chord joins its body. It may therefore be no chain:
// one group alone is the group.
func Chain(tasks ...protocol.Signature) protocol.Signature { return protocol.Chain(tasks...) }

// Group runs tasks side by side. A group in it is part of it: its members run
// in its place.
func Group(tasks ...protocol.Signature) protocol.Signature {
	return composite(protocol.TaskGroup, protocol.SubtaskGroup, protocol.Object{{Name: "tasks", Value: tasks}})
}

// Chord runs the header side by side and then body with the list of their
// results, in order. A header of one group is that group, and its ID becomes the
// id of the chord's group. As in Python the members of a group among others in
// the header count in reversed order. It needs a result backend that can join
// (Redis).
func Chord(header []protocol.Signature, body protocol.Signature) protocol.Signature {
	var tasks any = header
	if len(header) == 1 && header[0].SubtaskType == protocol.SubtaskGroup {
		tasks = header[0]
	}
	return composite(protocol.TaskChord, protocol.SubtaskChord, protocol.Object{
		{Name: "kwargs", Value: protocol.Object{}}, {Name: "header", Value: tasks}, {Name: "body", Value: body},
	})
}

func composite(task, kind string, kwargs protocol.Object) protocol.Signature {
	return protocol.Signature{Task: task, SubtaskType: kind, Kwargs: kwargs}
}

// Map calls a task once for each item, one after the other in one message
// (celery.map), and results in the list of what it returned. Task is a name:
// options of the calls are those of the map.
func Map[T any](task string, items []T) protocol.Signature {
	return inline(protocol.TaskMap, task, items)
}

// Starmap is Map for items that are lists of arguments, or structs and values
// that are written as lists.
func Starmap[T any](task string, items []T) protocol.Signature {
	return inline(protocol.TaskStarmap, task, items)
}

// inline is what Python's map writes: immutable, and no kind of its own.
func inline(name, task string, items any) protocol.Signature {
	return protocol.Signature{
		Task: name, Immutable: true,
		Kwargs: protocol.Object{{Name: "task", Value: Task(task)}, {Name: "it", Value: items}},
	}
}

// Chunks splits items, each a list of arguments, into parts of n and runs a
// Starmap for each part side by side: Python's add.chunks(items, n).group(). The
// last part may be shorter. An n below 1 counts as 1.
func Chunks[T any](task string, items []T, n int) protocol.Signature {
	var parts []protocol.Signature
	for n = max(1, n); len(items) > 0; {
		end := min(n, len(items))
		parts = append(parts, Starmap(task, items[:end]))
		items = items[end:]
	}
	return Group(parts...)
}
