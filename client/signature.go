package client

import (
	"time"

	"github.com/umbel-go/umbel/protocol"
)

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
// as its first argument. A group in it followed by a task becomes a chord.
func Chain(tasks ...protocol.Signature) protocol.Signature {
	return composite(protocol.TaskChain, protocol.SubtaskChain, protocol.Object{{Name: "tasks", Value: tasks}})
}

// Group runs tasks side by side.
func Group(tasks ...protocol.Signature) protocol.Signature {
	return composite(protocol.TaskGroup, protocol.SubtaskGroup, protocol.Object{{Name: "tasks", Value: tasks}})
}

// Chord runs the header side by side and then body with the list of their
// results. It needs a result backend that can join (Redis).
func Chord(header []protocol.Signature, body protocol.Signature) protocol.Signature {
	return composite(protocol.TaskChord, protocol.SubtaskChord, protocol.Object{
		{Name: "header", Value: header}, {Name: "body", Value: body}, {Name: "kwargs", Value: protocol.Object{}},
	})
}

func composite(task, kind string, kwargs protocol.Object) protocol.Signature {
	return protocol.Signature{Task: task, SubtaskType: kind, Kwargs: kwargs}
}

// Option is one option of a signature, as in Python's apply_async.
type Option func(*protocol.Signature)

// Set gives an option by its wire name.
func Set(name string, value any) Option {
	return func(s *protocol.Signature) { s.Options = s.Options.Set(name, value) }
}

// Kwarg passes a keyword argument.
func Kwarg(name string, value any) Option {
	return func(s *protocol.Signature) { s.Kwargs = s.Kwargs.Set(name, value) }
}

// Immutable makes the signature ignore the result of the task before it, as
// Python's add.si(2, 3).
func Immutable() Option { return func(s *protocol.Signature) { s.Immutable = true } }

// ID sets the task id instead of a new UUID.
func ID(id string) Option { return Set("task_id", id) }

// Queue names the queue.
func Queue(name string) Option { return Set("queue", name) }

// Countdown delays the task from the moment of sending.
func Countdown(d time.Duration) Option { return Set("countdown", d.Seconds()) }

// ETA delays the task until a time.
func ETA(t time.Time) Option { return Set("eta", protocol.FormatTime(t)) }

// Expires makes workers refuse the task after a time.
func Expires(t time.Time) Option { return Set("expires", protocol.FormatTime(t)) }

// Priority is 0 to 9: 0 is first on Redis and last on RabbitMQ.
func Priority(p int) Option { return Set("priority", p) }

// TimeLimit sets the soft and the hard time limit; 0 leaves one unset.
func TimeLimit(soft, hard time.Duration) Option {
	return func(s *protocol.Signature) {
		if soft > 0 {
			Set("soft_time_limit", soft.Seconds())(s)
		}
		if hard > 0 {
			Set("time_limit", hard.Seconds())(s)
		}
	}
}

// IgnoreResult asks the worker not to store the result.
func IgnoreResult() Option { return Set("ignore_result", true) }

// Header adds a message header, which the task can read.
func Header(name string, value any) Option {
	return func(s *protocol.Signature) {
		v, _ := s.Options.Get("headers")
		h, _ := v.(protocol.Object)
		s.Options = s.Options.Set("headers", append(protocol.Object(nil), h...).Set(name, value))
	}
}

// Link runs a task with the result on success.
func Link(tasks ...protocol.Signature) Option { return Set("link", tasks) }

// LinkError runs a task with the failed task's id on failure.
func LinkError(tasks ...protocol.Signature) Option { return Set("link_error", tasks) }
