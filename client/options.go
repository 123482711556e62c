package client

import (
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// Option is one option of a signature, as in Python's apply_async. On a chain
// options are for its first step, on a group for every member, on a chord for
// header and body, unless they say otherwise.
type Option func(*protocol.Signature)

// Set gives an option by its wire name, also one that Celery does not know:
// signatures that are passed on keep it.
func Set(name string, value any) Option {
	return func(s *protocol.Signature) { s.Options = s.Options.Set(name, value) }
}

// Kwarg passes a keyword argument to a task.
func Kwarg(name string, value any) Option {
	return func(s *protocol.Signature) { s.Kwargs = s.Kwargs.Set(name, value) }
}

// ID sets the task id instead of a new UUID: that of a chain's last step, of a
// chord's body, or the group id of a group.
func ID(id string) Option { return Set("task_id", id) }

// Queue names the queue.
func Queue(name string) Option { return Set("queue", name) }

// Exchange sends through an exchange with a routing key instead of to a queue.
// On Redis the bindings in the broker decide which queues get it.
func Exchange(exchange, routingKey string) Option {
	return func(s *protocol.Signature) {
		Set("exchange", exchange)(s)
		Set("routing_key", routingKey)(s)
	}
}

// Countdown delays the task from the moment of sending; of a chord it delays
// the header. It goes before an ETA.
func Countdown(d time.Duration) Option { return Set("countdown", d.Seconds()) }

// ETA delays the task until a time.
func ETA(t time.Time) Option { return Set("eta", protocol.FormatTime(t)) }

// Expires makes workers refuse the task after a time.
func Expires(t time.Time) Option { return Set("expires", protocol.FormatTime(t)) }

// ExpiresIn makes workers refuse the task when it is older than d, counted from
// the moment of its own sending.
func ExpiresIn(d time.Duration) Option { return Set("expires", d.Seconds()) }

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

// Retries is how often the task counts as tried already; workers subtract it
// from the retries that they allow.
func Retries(n int) Option { return Set("retries", n) }

// IgnoreResult asks the worker not to store the result.
func IgnoreResult() Option { return Set("ignore_result", true) }

// StoreResult asks the worker to store the result even if the task is set to
// ignore it.
func StoreResult() Option { return Set("ignore_result", false) }

// ReplyTo names the queue that results go to (rpc), instead of the result
// backend's own.
func ReplyTo(queue string) Option { return Set("reply_to", queue) }

// Transient lets RabbitMQ keep the message in memory only.
func Transient() Option { return Set("delivery_mode", protocol.Transient) }

// Serializer is how the message body is written: "json" (the default),
// "msgpack" or "yaml".
func Serializer(name string) Option { return Set("serializer", name) }

// Compression compresses the message body: "zlib", "zstd", "brotli" or "lzma".
func Compression(name string) Option { return Set("compression", name) }

// Shadow is the name that logs, events and the monitor show instead of the
// task's.
func Shadow(name string) Option { return Set("shadow", name) }

// ReprArgs and ReprKwargs replace what logs, events and the monitor show of the
// arguments, to hide a secret or shorten them.
func ReprArgs(repr string) Option { return Set("argsrepr", repr) }

// ReprKwargs is ReprArgs for keyword arguments.
func ReprKwargs(repr string) Option { return Set("kwargsrepr", repr) }

// Header adds a message header, which the task can read. Names of Celery's own
// headers are left alone.
func Header(name string, value any) Option {
	return func(s *protocol.Signature) {
		v, _ := s.Options.Get("headers")
		h, _ := v.(protocol.Object)
		s.Options = s.Options.Set("headers", append(protocol.Object(nil), h...).Set(name, value))
	}
}

// Stamp marks every task of the signature and every callback with a header that
// survives retries and can be revoked by. As in Python the body of a chord is
// not stamped: stamp it by itself.
func Stamp(name string, value any) Option {
	return edit(func(s protocol.Signature) (protocol.Signature, error) {
		return protocol.Stamp(s, protocol.Object{{Name: name, Value: value}})
	})
}

// Immutable makes the signature ignore the result of the task before it, as
// Python's add.si(2, 3): of a group every member, of a chord its header.
func Immutable() Option { return edit(protocol.Immutable) }

// Link runs tasks with the result on success. On a chain it waits for the last
// step, on a chord for the body; on a group it is called without a result once
// the first member succeeded: use a chord to wait for all.
func Link(tasks ...protocol.Signature) Option { return linking(protocol.Link, tasks) }

// LinkError runs tasks with the failed task's id on failure: of any step of
// a chain, of any member of a group, of a chord's body or of the chord itself.
func LinkError(tasks ...protocol.Signature) Option { return linking(protocol.LinkError, tasks) }

func linking(add func(s, callback protocol.Signature) (protocol.Signature, error), tasks []protocol.Signature) Option {
	return func(s *protocol.Signature) {
		for _, t := range tasks {
			edit(func(s protocol.Signature) (protocol.Signature, error) { return add(s, t) })(s)
		}
	}
}

// edit leaves a signature as it is when its members cannot be read: sending it
// says why.
func edit(change func(protocol.Signature) (protocol.Signature, error)) Option {
	return func(s *protocol.Signature) {
		if changed, err := change(*s); err == nil {
			*s = changed
		}
	}
}
