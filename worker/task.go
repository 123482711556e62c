package worker

import (
	"context"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// Task is the request that a handler serves: the decoded message and where it
// came from. It is read-only.
type Task struct {
	*protocol.Task
	// Queue is the queue that it was taken from, Hostname our node name.
	Queue    string
	Hostname string

	worker *Worker
	sent   trail
}

type taskKey struct{}

// withTask is the context of a task's function.
func withTask(ctx context.Context, t *Task) context.Context {
	ctx = client.WithParent(ctx, client.Parent{RootID: rootOf(t.Task), ID: t.ID, Sent: t.sent.add})
	return context.WithValue(ctx, taskKey{}, t)
}

// FromContext returns the task that ctx belongs to, for handlers that are not
// Raw; nil outside a task.
func FromContext(ctx context.Context) *Task {
	t, _ := ctx.Value(taskKey{}).(*Task)
	return t
}

// Client returns the worker's client to a running task; nil outside a task. What
// is sent with it, or with any other client, under the task's context is a child
// of the task: it has its root and parent ids, and is named among the children
// of its result.
func Client(ctx context.Context) *client.Client {
	t := FromContext(ctx)
	if t == nil || t.worker == nil {
		return nil
	}
	return t.worker.client
}
