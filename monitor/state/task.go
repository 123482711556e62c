package state

import "github.com/umbel-go/umbel/protocol"

// States of a task, as Celery names them. A custom event "task-my-step" gives
// the state "MY-STEP".
const (
	Pending  = "PENDING"
	Received = "RECEIVED"
	Started  = "STARTED"
	Success  = "SUCCESS"
	Failure  = "FAILURE"
	Retry    = "RETRY"
	Revoked  = "REVOKED"
	Rejected = "REJECTED"
)

// Task is what events told about one task, with the fields of
// celery.events.state.Task. An empty string, a zero time, a nil pointer and a
// zero Text are null, with one exception told at Exchange.
type Task struct {
	UUID  string
	Name  string
	State string
	// When the event of that kind happened, in Unix seconds at its sender.
	Received, Sent, Started, Rejected, Succeeded, Failed, Retried, Revoked float64

	Args, Kwargs Text // Python reprs, cut by the sender
	ETA, Expires Text // ISO 8601
	Retries      *int64
	Worker       string // node name
	Result       Text   // Python repr, cut by the worker
	Exception    Text
	Timestamp    float64  // of the last event applied
	Runtime      *float64 // seconds
	Traceback    Text
	// Exchange may be "" without being null: the default exchange. It is null
	// when RoutingKey is empty too, that is without a task-sent event.
	Exchange   string
	RoutingKey string
	Queue      string // from task-sent; Celery's own answers do not show it
	Clock      int64
	Client     string // who sent it
	RootID     string
	ParentID   string
}

// Ready reports whether the state is final.
func (t *Task) Ready() bool {
	switch t.State {
	case Success, Failure, Revoked, Rejected:
		return true
	}
	return false
}

// Clone returns a copy that shares nothing which changes.
func (t *Task) Clone() *Task {
	c := *t // what the pointers point at is never written again
	return &c
}

// Object is the task as Flower's API shows it: every field of Celery's Task in
// its order, with null for what is unknown. children are the ids of the tasks
// that it started, as far as they are known.
func (t *Task) Object(children []string) protocol.Object {
	if children == nil {
		children = []string{}
	}
	var exchange any
	if t.Exchange != "" || t.RoutingKey != "" {
		exchange = t.Exchange
	}
	return protocol.Object{
		{Name: "uuid", Value: t.UUID},
		{Name: "name", Value: orNull(t.Name)},
		{Name: "state", Value: t.State},
		{Name: "received", Value: orNull(t.Received)},
		{Name: "sent", Value: orNull(t.Sent)},
		{Name: "started", Value: orNull(t.Started)},
		{Name: "rejected", Value: orNull(t.Rejected)},
		{Name: "succeeded", Value: orNull(t.Succeeded)},
		{Name: "failed", Value: orNull(t.Failed)},
		{Name: "retried", Value: orNull(t.Retried)},
		{Name: "revoked", Value: orNull(t.Revoked)},
		{Name: "args", Value: t.Args.Any()},
		{Name: "kwargs", Value: t.Kwargs.Any()},
		{Name: "eta", Value: t.ETA.Any()},
		{Name: "expires", Value: t.Expires.Any()},
		{Name: "retries", Value: deref(t.Retries)},
		{Name: "worker", Value: orNull(t.Worker)},
		{Name: "result", Value: t.Result.Any()},
		{Name: "exception", Value: t.Exception.Any()},
		{Name: "timestamp", Value: orNull(t.Timestamp)},
		{Name: "runtime", Value: deref(t.Runtime)},
		{Name: "traceback", Value: t.Traceback.Any()},
		{Name: "exchange", Value: exchange},
		{Name: "routing_key", Value: orNull(t.RoutingKey)},
		{Name: "clock", Value: t.Clock},
		{Name: "client", Value: orNull(t.Client)},
		{Name: "root", Value: orNull(t.RootID)},
		{Name: "root_id", Value: orNull(t.RootID)},
		{Name: "parent", Value: orNull(t.ParentID)},
		{Name: "parent_id", Value: orNull(t.ParentID)},
		{Name: "children", Value: children},
	}
}

// orNull is nil for a zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
