package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// observe applies events to a state and counts them as the monitor does.
func observe(t *testing.T, m *Metrics, s *state.State, kind, id string, at float64, fields ...protocol.Field) {
	t.Helper()
	hostname := "w@host"
	if kind == "task-sent" {
		hostname = "gen@client"
	}
	e := &protocol.Event{Type: kind, Hostname: hostname, Timestamp: at, Clock: int64(at), Fields: fields}
	if id != "" {
		e.Fields = append(e.Fields, protocol.Field{Name: "uuid", Value: id})
	}
	c, err := s.Apply(e, at+0.5)
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	if c.Task != nil {
		name = c.Task.Name
	}
	m.Observe(c, at+0.5, hostname, name)
}

func scrape(m *Metrics) string {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func field(name string, value any) protocol.Field { return protocol.Field{Name: name, Value: value} }

func TestBothVocabularies(t *testing.T) {
	m, s := New(Config{}), state.New()
	name := field("name", "add")
	observe(t, m, s, "task-sent", "a", 10, name, field("queue", "mail"))
	observe(t, m, s, "task-received", "a", 12, name)
	observe(t, m, s, "task-started", "a", 15)
	observe(t, m, s, "task-succeeded", "a", 16, field("runtime", 0.5))
	observe(t, m, s, "task-received", "b", 20, name)
	observe(t, m, s, "task-received", "b", 20, name)
	observe(t, m, s, "task-received", "c", 21, name)
	observe(t, m, s, "task-failed", "c", 22, field("exception", "ValueError('x')"))
	observe(t, m, s, "task-received", "d", 23, name, field("eta", "2026-11-20T17:41:11+00:00"))
	observe(t, m, s, "worker-heartbeat", "", 24)
	m.Restore("w@host", "task-retried", "old", 7)
	m.Restore("w@host", "worker-online", "", 7)
	m.Collect(func() Figures {
		return Figures{
			Workers: []WorkerFigures{{Hostname: "w@host", Online: true, HasActive: true, Active: 2, Concurrency: 4, Queues: []string{"mail"}}, {Hostname: "v@host"}},
			Queues:  []QueueFigures{{Name: "mail", Messages: 5, Unacked: 1, Consumers: 1}},
		}
	})
	got := scrape(m)
	for _, line := range []string{
		`flower_events_total{task="add",type="task-sent",worker="gen@client"} 1`,
		`flower_events_total{task="add",type="task-received",worker="w@host"} 5`,
		`flower_events_total{task="old",type="task-retried",worker="w@host"} 7`,
		`flower_task_runtime_seconds_count{task="add",worker="w@host"} 1`,
		`flower_task_prefetch_time_seconds{task="add",worker="w@host"} 0`,
		`flower_worker_prefetched_tasks{task="add",worker="w@host"} 1`,
		`flower_worker_online{worker="w@host"} 1`,
		`flower_worker_online{worker="v@host"} 0`,
		`celery_task_sent_total{hostname="client",name="add",queue_name="mail"} 1`,
		`celery_task_succeeded_total{hostname="host",name="add",queue_name="mail"} 1`,
		`celery_task_retried_total{hostname="host",name="add",queue_name="mail"} 0`,
		`celery_task_failed_total{exception="ValueError",hostname="host",name="add",queue_name="celery"} 1`,
		`celery_task_failed_total{exception="",hostname="host",name="add",queue_name="mail"} 0`,
		`celery_task_runtime_sum{hostname="host",name="add",queue_name="mail"} 0.5`,
		`celery_task_queue_wait_time_sum{hostname="host",name="add",queue_name="mail"} 2`,
		`celery_task_prefetch_wait_seconds_sum{hostname="host",name="add",queue_name="mail"} 3`,
		`celery_worker_up{hostname="host"} 1`,
		`celery_worker_tasks_active{hostname="host"} 2`,
		`celery_queue_length{queue_name="mail"} 4`,
		`celery_active_process_count{queue_name="mail"} 4`,
		`monitor_events_received_total 10`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, line := range []string{"worker-heartbeat", "worker-online", "celery_task_sent_total{hostname=\"host\""} {
		if strings.Contains(got, line) {
			t.Errorf("counted %s", line)
		}
	}
	observe(t, m, s, "worker-offline", "", 30)
	if got := scrape(m); !strings.Contains(got, `flower_worker_prefetched_tasks{task="add",worker="w@host"} 0`) {
		t.Error("what a worker had prefetched remains after it left")
	}
}
