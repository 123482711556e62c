package store

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/umbel-go/umbel/monitor/state"
)

// columns are those of table tasks behind broker, in the order of values and
// scan.
var columns = []string{
	"id", "name", "state", "received", "sent", "started", "rejected", "succeeded", "failed", "retried", "revoked",
	"args", "kwargs", "eta", "expires", "retries", "worker", "result", "exception", "timestamp", "runtime",
	"traceback", "exchange", "routing_key", "queue", "clock", "client", "root_id", "parent_id",
}

var columnList = strings.Join(columns, ", ")

// values are a task's columns.
func values(t *state.Task) []any {
	return []any{
		id(t.UUID), null(t.Name), t.State, null(t.Received), null(t.Sent), null(t.Started), null(t.Rejected),
		null(t.Succeeded), null(t.Failed), null(t.Retried), null(t.Revoked),
		t.Args, t.Kwargs, t.ETA, t.Expires, pointee(t.Retries), null(t.Worker), t.Result, t.Exception, t.Timestamp,
		pointee(t.Runtime), t.Traceback, null(t.Exchange), null(t.RoutingKey), null(t.Queue), t.Clock, null(t.Client),
		id(t.RootID), id(t.ParentID),
	}
}

// null is nil for a zero value, which is how state.Task writes null.
func null[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func pointee[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// scan reads a row of columns.
func scan(rows *sql.Rows) (*state.Task, error) {
	t := new(state.Task)
	var uuid, root, parent any
	err := rows.Scan(
		&uuid, zero(&t.Name), &t.State, zero(&t.Received), zero(&t.Sent), zero(&t.Started), zero(&t.Rejected),
		zero(&t.Succeeded), zero(&t.Failed), zero(&t.Retried), zero(&t.Revoked),
		&t.Args, &t.Kwargs, &t.ETA, &t.Expires, &t.Retries, zero(&t.Worker), &t.Result, &t.Exception, &t.Timestamp,
		&t.Runtime, &t.Traceback, zero(&t.Exchange), zero(&t.RoutingKey), zero(&t.Queue), &t.Clock, zero(&t.Client),
		&root, &parent,
	)
	for _, f := range []struct {
		to   *string
		from any
	}{{&t.UUID, uuid}, {&t.RootID, root}, {&t.ParentID, parent}} {
		if err == nil {
			*f.to, err = unpackID(f.from)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read a stored task: %w", err)
	}
	return t, nil
}

// zeroed scans NULL as the zero value.
type zeroed[T any] struct{ to *T }

func zero[T any](to *T) zeroed[T] { return zeroed[T]{to} }

// Scan implements sql.Scanner.
func (z zeroed[T]) Scan(src any) error {
	if v, ok := src.(T); ok {
		*z.to = v
		return nil
	}
	var n sql.Null[T]
	if err := n.Scan(src); err != nil {
		return err
	}
	*z.to = n.V
	return nil
}
