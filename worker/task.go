package worker

import (
	"context"

	"github.com/umbel-go/umbel/protocol"
)

// Task is the request that a handler serves: the decoded message and where it
// came from. It is read-only.
type Task struct {
	*protocol.Task
	// Queue is the queue that it was taken from, Hostname our node name.
	Queue    string
	Hostname string
}

type taskKey struct{}

// FromContext returns the task that ctx belongs to, for handlers that are not
// Raw; nil outside a task.
func FromContext(ctx context.Context) *Task {
	t, _ := ctx.Value(taskKey{}).(*Task)
	return t
}
