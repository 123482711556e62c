package api

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/protocol"
)

// controlRoutes are Flower's routes that change workers and tasks.
func (a *api) controlRoutes() []web.Route {
	post := func(path string, h handler) web.Route {
		return web.Route{Methods: []string{http.MethodPost}, Path: path, Access: web.Action, Handler: h}
	}
	return []web.Route{
		post("/api/worker/shutdown/{worker:.+}", a.shutdown),
		post("/api/worker/pool/grow/{worker:.+}", a.resize("pool_grow", "Growing", "grow")),
		post("/api/worker/pool/shrink/{worker:.+}", a.resize("pool_shrink", "Shrinking", "shrink")),
		post("/api/task/revoke/{id:.+}", a.revoke),
	}
}

// worker is the worker that the path names.
func (a *api) worker(r *http.Request, args arguments) (string, error) {
	name := mux.Vars(r)["worker"]
	_, known, err := a.m.Worker(r.Context(), args.text("broker"), name)
	if err == nil && !known {
		err = refuse(http.StatusNotFound, "Unknown worker '%s'", name)
	}
	return name, err
}

func message(w http.ResponseWriter, r *http.Request, format string, args ...any) error {
	return ok(w, r, protocol.Object{{Name: "message", Value: fmt.Sprintf(format, args...)}})
}

// shutdown tells a worker to finish its tasks and end.
func (a *api) shutdown(w http.ResponseWriter, r *http.Request) error {
	args := argumentsOf(r)
	name, err := a.worker(r, args)
	if err != nil {
		return err
	}
	if err := a.m.Broadcast(r.Context(), args.text("broker"), "shutdown", nil, name); err != nil {
		return err
	}
	return message(w, r, "Shutting down!")
}

// resize changes the size of a worker's pool by n, 1 by default.
func (a *api) resize(command, doing, verb string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		args := argumentsOf(r)
		name, err := a.worker(r, args)
		if err != nil {
			return err
		}
		n, given, err := args.int("n")
		if err != nil {
			return err
		}
		if !given {
			n = 1
		}
		answer, err := a.m.Call(r.Context(), args.text("broker"), command, protocol.Object{{Name: "n", Value: n}}, name)
		if err != nil {
			return err
		}
		if reason := refused(answer); reason != "" {
			return refuse(http.StatusForbidden, "Failed to %s '%s' worker's pool: %s", verb, name, reason)
		}
		return message(w, r, "%s '%s' worker's pool by %d", doing, name, n)
	}
}

// refused is why a worker did not do what it was told, "" when it did.
func refused(answer protocol.Raw) string {
	o, err := protocol.DecodeObject(answer)
	if err != nil {
		return "Unknown reason" // no answer, or not of the usual shape
	}
	if _, done := o.Get("ok"); done {
		return ""
	}
	if reason := o.String("error"); reason != "" {
		return reason
	}
	return "Unknown reason"
}

// revoke tells all workers to skip a task, and with terminate to end it where it
// runs. It answers 200 for unknown ids too.
func (a *api) revoke(w http.ResponseWriter, r *http.Request) error {
	args, id := argumentsOf(r), mux.Vars(r)["id"]
	terminate, err := args.bool("terminate", false)
	if err != nil {
		return err
	}
	signal := args.text("signal")
	if signal == "" {
		signal = "SIGTERM"
	}
	err = a.m.Broadcast(r.Context(), args.text("broker"), "revoke", protocol.Object{
		{Name: "task_id", Value: id}, {Name: "terminate", Value: terminate}, {Name: "signal", Value: signal},
	})
	if err != nil {
		return err
	}
	return message(w, r, "Revoked '%s'", id)
}
