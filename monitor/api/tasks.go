package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// wholeAnswer is how large an answer may become before it is sent in pieces,
// without an Etag.
const wholeAnswer = 8 << 20

// tasks answers GET /api/tasks: an object of tasks by id, in the order asked for.
// Without a limit it holds all tasks, and is then sent as it is read.
func (a *api) tasks(w http.ResponseWriter, r *http.Request) error {
	q, none, err := taskQuery(argumentsOf(r))
	if err != nil {
		return err
	}
	total, err := a.m.CountTasks(r.Context(), q)
	if err != nil {
		return err
	}
	if total >= 0 {
		w.Header().Set("X-Total-Count", strconv.Itoa(total))
	}
	if none {
		return ok(w, r, protocol.Object{})
	}
	out := &answer{w: w, r: r, body: []byte("{")}
	n := 0
	err = a.m.EachTask(r.Context(), q, func(t monitor.Task) error {
		n++
		return out.add(n, t)
	})
	if err != nil {
		return out.fail(err)
	}
	if total < 0 && q.Limit == 0 && !out.sending {
		w.Header().Set("X-Total-Count", strconv.Itoa(q.Offset+n))
	}
	return out.finish()
}

// taskQuery reads the parameters of /api/tasks. none is true for a limit that
// lets nothing pass.
func taskQuery(args arguments) (q monitor.Query, none bool, err error) {
	limit, limited, err := args.int("limit")
	if err != nil {
		return q, false, err
	}
	offset, _, err := args.int("offset")
	if err != nil {
		return q, false, err
	}
	q = monitor.Query{
		Broker: args.text("broker"), Worker: unlessAll(args.text("workername")),
		Name: unlessAll(args.text("taskname")), State: unlessAll(args.text("state")),
		Search: args.text("search"), SortBy: args.text("sort_by"),
		Limit: max(limit, 0), Offset: max(offset, 0),
	}
	switch strings.TrimLeft(q.SortBy, "-") {
	case "", "name", "state", "received", "started":
	default:
		return q, false, refuse(http.StatusBadRequest,
			"Invalid sort_by '%s', expected one of name, received, started, state", q.SortBy)
	}
	if q.ReceivedFrom, q.ReceivedTo, err = args.span("received"); err != nil {
		return q, false, err
	}
	q.StartedFrom, q.StartedTo, err = args.span("started")
	return q, limited && limit <= 0, err
}

func unlessAll(s string) string {
	if s == "All" {
		return ""
	}
	return s
}

// answer is an object of tasks that is sent whole or, when it is long, in
// pieces.
type answer struct {
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	sending bool
}

func (o *answer) add(n int, t monitor.Task) error {
	if n > 1 {
		o.body = append(o.body, ", "...)
	}
	task, err := protocol.Marshal(listed(t))
	if err != nil {
		return fmt.Errorf("write task %s: %w", t.UUID, err)
	}
	if o.body, err = protocol.AppendJSON(o.body, t.UUID); err != nil {
		return err
	}
	o.body = append(append(o.body, ": "...), escapeSlash(task)...)
	if len(o.body) < wholeAnswer {
		return nil
	}
	if !o.sending {
		o.sending = true
		o.w.Header().Set("Content-Type", jsonType)
	}
	_, err = o.w.Write(o.body)
	o.body = o.body[:0]
	return err
}

// fail answers an error; what is already on its way can only be cut off.
func (o *answer) fail(err error) error {
	if o.sending {
		panic(http.ErrAbortHandler)
	}
	return err
}

func (o *answer) finish() error {
	o.body = append(o.body, '}')
	if !o.sending {
		sendJSON(o.w, o.r, http.StatusOK, o.body)
		return nil
	}
	_, _ = o.w.Write(o.body) // the client is gone if this fails
	return nil
}

// listed is a task as lists show it: its worker last, and absent when unknown.
func listed(t monitor.Task) protocol.Object {
	o := t.Object(t.Children).Without("worker")
	if t.Worker != "" {
		o = append(o, protocol.Field{Name: "worker", Value: t.Worker})
	}
	return o
}

// taskInfo answers GET /api/task/info/<id> and /api/tasks/<id>. "task-id" is what
// Flower's documentation shows, "uuid" what it sends.
func (a *api) taskInfo(w http.ResponseWriter, r *http.Request) error {
	id := mux.Vars(r)["id"]
	t, known, err := a.m.Task(r.Context(), argumentsOf(r).text("broker"), id)
	if err == nil && !known {
		err = refuse(http.StatusNotFound, "Unknown task '%s'", id)
	}
	if err != nil {
		return err
	}
	return ok(w, r, append(t.Object(t.Children), protocol.Field{Name: "task-id", Value: t.UUID}))
}

// taskTypes answers GET /api/task/types.
func (a *api) taskTypes(w http.ResponseWriter, r *http.Request) error {
	types := append([]string{}, a.m.TaskTypes(argumentsOf(r).text("broker"))...)
	return ok(w, r, protocol.Object{{Name: "task-types", Value: types}})
}
