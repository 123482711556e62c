package api

import (
	"net/http"
	"time"

	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// queueLengths answers GET /api/queues/length with what Flower knows of a queue:
// on Redis the waiting messages, on RabbitMQ the figures of its management.
func (a *api) queueLengths(w http.ResponseWriter, r *http.Request) error {
	source := argumentsOf(r).text("broker")
	queues, err := a.m.Queues(r.Context(), source)
	if err != nil {
		return err
	}
	redis := a.transport(source) == "redis"
	list := make([]any, len(queues))
	for i, q := range queues {
		o := protocol.Object{{Name: "name", Value: q.Name}, {Name: "messages", Value: q.Ready}}
		if !redis {
			o = protocol.Object{
				{Name: "name", Value: q.Name},
				{Name: "messages", Value: q.Messages},
				{Name: "messages_ready", Value: q.Ready},
				{Name: "messages_unacknowledged", Value: q.Unacked},
				{Name: "consumers", Value: q.Consumers},
				{Name: "idle_since", Value: isoTime(q.IdleSince)},
			}
		}
		list[i] = o
	}
	return ok(w, r, protocol.Object{{Name: "active_queues", Value: list}})
}

func (a *api) transport(source string) string {
	for _, b := range a.m.Brokers() {
		if source == "" || b.Name == source {
			return b.Transport
		}
	}
	return ""
}

// queues answers GET /api/queues.
func (a *api) queues(w http.ResponseWriter, r *http.Request) error {
	queues, err := a.m.Queues(r.Context(), argumentsOf(r).text("broker"))
	if err != nil {
		return err
	}
	list := make([]any, len(queues))
	byName := make(protocol.Object, len(queues))
	for i, q := range queues {
		o := queueObject(q)
		list[i], byName[i] = o, protocol.Field{Name: q.Name, Value: o}
	}
	return ok(w, r, protocol.Object{{Name: "active_queues", Value: list}, {Name: "queues", Value: byName}})
}

func queueObject(q monitor.Queue) protocol.Object {
	return protocol.Object{
		{Name: "name", Value: q.Name},
		{Name: "messages", Value: q.Messages},
		{Name: "ready", Value: q.Ready},
		{Name: "unacked", Value: q.Unacked},
		{Name: "consumers", Value: q.Consumers},
		{Name: "idle_since", Value: isoTime(q.IdleSince)},
		{Name: "oldest_age", Value: orNull(q.OldestAge.Seconds())},
	}
}

func isoTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return protocol.FormatTime(t)
}

// stats answers GET /api/stats.
func (a *api) stats(w http.ResponseWriter, r *http.Request) error {
	s, err := a.m.Stats(r.Context(), argumentsOf(r).text("broker"))
	if err != nil {
		return err
	}
	queues := s.Queues
	if queues == nil {
		queues = map[string]int{}
	}
	return ok(w, r, protocol.Object{
		{Name: "tasks", Value: protocol.Object{
			{Name: "active", Value: s.Active},
			{Name: "processed", Value: s.Processed()},
			{Name: "failed", Value: s.Failed},
			{Name: "succeeded", Value: s.Succeeded},
			{Name: "retried", Value: s.Retried},
			{Name: "received", Value: s.Received},
		}},
		{Name: "workers", Value: protocol.Object{{Name: "online", Value: s.Online}, {Name: "offline", Value: s.Offline}}},
		{Name: "queues", Value: queues},
		{Name: "rates", Value: protocol.Object{
			{Name: "succeeded_per_minute", Value: s.SucceededPerMinute},
			{Name: "failed_per_minute", Value: s.FailedPerMinute},
		}},
		{Name: "uptime", Value: int(s.Uptime.Seconds())},
		{Name: "version", Value: a.m.Version()},
	})
}
