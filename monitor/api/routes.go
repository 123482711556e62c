// Package api answers programs: Flower's HTTP API with its shapes, texts and
// quirks, and a few routes that people expected of it. JSON is laid out as
// Python writes it, since scripts search answers as text.
package api

import (
	"io"
	"net/http"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
)

// Routes returns the routes below /api, /metrics and /healthcheck.
func Routes(m *monitor.Monitor) []web.Route {
	a := &api{m}
	get := func(path string, h handler) web.Route {
		return web.Route{Path: path, Access: web.API, Handler: h}
	}
	routes := []web.Route{
		get("/api/workers", a.workers),
		get("/api/tasks", a.tasks),
		get("/api/tasks/{id:.+}", a.taskInfo),
		get("/api/task/types", a.taskTypes),
		get("/api/task/info/{id:.*}", a.taskInfo),
		get("/api/queues", a.queues),
		get("/api/queues/length", a.queueLengths),
		get("/api/stats", a.stats),
		{Path: "/metrics", Access: web.Open, Handler: m.Metrics()},
		{Path: "/healthcheck", Access: web.Open, Handler: http.HandlerFunc(healthcheck)},
	}
	return append(routes, a.controlRoutes()...)
}

// WorkersJSON answers /, /dashboard and /workers when they are asked with
// ?json=1; the pages layer calls it then.
func WorkersJSON(m *monitor.Monitor) http.Handler { return handler((&api{m}).workersTable) }

type api struct{ m *monitor.Monitor }

// healthcheck tells that the server answers, as Flower's does; it does not look
// at the broker.
func healthcheck(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	_, _ = io.WriteString(w, "OK") // the client is gone if this fails
}
