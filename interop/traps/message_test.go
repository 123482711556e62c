package traps

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// The compression that Python calls gzip is a zlib stream, so that a gzip reader
// fails on every compressed message.
func TestTrap01GzipMeansZlib(t *testing.T) {
	s := onRedis(t)
	s.python(t, nil, `app.send_task("t", ["x" * 1000], queue="go", compression="gzip")`, nil)
	d := claim(t, s.consumer(t, "go"))
	m := d.Message()
	if got := m.Headers.String("compression"); got != "application/x-gzip" {
		t.Errorf("compression %q", got)
	}
	if !bytes.HasPrefix(m.Body, []byte{0x78}) {
		t.Errorf("body begins with % x, a zlib stream with 78", m.Body[:2])
	}
	if task := taskOf(t, d); len(task.Args) != 1 || len(task.Args[0]) != 1002 {
		t.Errorf("args %.50s", task.Args)
	}
}

// The header timelimit is [hard, soft], although old documentation says the
// reverse: read wrongly, tasks are killed when they should be warned.
func TestTrap02TimelimitIsHardThenSoft(t *testing.T) {
	s := onRedis(t)
	s.python(t, nil, `app.send_task("t", queue="go", time_limit=9, soft_time_limit=5)`, nil)
	task := taskOf(t, claim(t, s.consumer(t, "go")))
	if task.HardLimit != 9 || task.SoftLimit != 5 {
		t.Errorf("hard %v, soft %v", task.HardLimit, task.SoftLimit)
	}
	send(t, s.client(t), client.Task("t"), client.Queue("raw"), client.TimeLimit(5*time.Second, 9*time.Second))
	got := at(t, envelope(t, s.redis(t), "raw"), "headers", "timelimit")
	if list, _ := got.([]any); len(list) != 2 || protocol.Float(list[0]) != 9 || protocol.Float(list[1]) != 5 {
		t.Errorf("timelimit %v", got)
	}
}

// The delivery tag is minted by the producer and stays the same for the
// message's whole life; a worker that mints its own in the envelope makes Python
// acknowledge something else.
func TestTrap06DeliveryTagNeverChanges(t *testing.T) {
	s := onRedis(t)
	conn := s.redis(t)
	s.python(t, nil, `app.send_task("t", queue="go")`, nil)
	sent := at(t, envelope(t, conn, "go"), "properties", "delivery_tag")
	must(t, claim(t, s.consumer(t, "go")).Return(t.Context()))
	if back := at(t, envelope(t, conn, "go"), "properties", "delivery_tag"); back != sent || sent == "" {
		t.Errorf("delivery tag %v came back as %v", sent, back)
	}
}

// Python's JSON has bare NaN and Infinity, integers of any size, and 1 is not
// 1.0: a decoder for plain JSON refuses the message or changes its values.
func TestTrap09JSONOfPython(t *testing.T) {
	s := onRedis(t)
	s.worker(t, echo)
	var got string
	s.python(t, &got, `
value = [1, 1.0, 2**70, -0.0, 1e300, float("inf"), float("-inf"), float("nan"), "é😀"]
result = repr(app.send_task("go.echo", [value], queue="go").get(timeout=20))`, nil)
	if want := `[1, 1.0, 1180591620717411303424, -0.0, 1e+300, inf, -inf, nan, 'é😀']`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Values that JSON lacks travel as {"__type__", "__value__"}; a type that
// nobody registered makes Python refuse the whole message, and a time that ends
// in Z is unreadable before Python 3.11.
func TestTrap10TypeWrappers(t *testing.T) {
	s := onRedis(t)
	s.worker(t, func(w *worker.Worker) {
		echo(w)
		worker.Must(worker.Func(w, "go.day", func(_ context.Context, at time.Time) (time.Time, error) {
			return at.AddDate(0, 0, 1), nil
		}))
	})
	var got string
	s.python(t, &got, `
from datetime import date, datetime, timezone
from decimal import Decimal
from uuid import UUID
value = [datetime(2026, 1, 2, 3, tzinfo=timezone.utc), date(2026, 1, 2), Decimal("1.50"), UUID(int=7), b"text", b"\xff"]
same = app.send_task("go.echo", [value], queue="go").get(timeout=20) == value
later = app.send_task("go.day", [value[0]], queue="go")
result = "%s %r" % (same, later.get(timeout=20))`, nil)
	if want := `True datetime.datetime(2026, 1, 3, 3, 0, tzinfo=datetime.timezone.utc)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if raw, err := protocol.Marshal(time.Unix(0, 0).UTC()); err != nil || bytes.Contains(raw, []byte("Z\"")) ||
		!bytes.Contains(raw, []byte("+00:00")) {
		t.Errorf("a time is written as %s, %v", raw, err)
	}
	unknown := protocol.Raw(`{"__type__": "colour", "__value__": "red"}`)
	var back protocol.Raw
	if err := get(t, send(t, s.client(t), client.Task("go.echo", unknown)), &back); err != nil || string(back) != string(unknown) {
		t.Errorf("an application's own type came back as %s, %v", back, err)
	}
}

// The header ignore_result may be missing, null, false or true, and the first
// two leave the choice to the task: read as false they store what nobody wants,
// read as true they lose results.
func TestTrap17IgnoreResultMayBeNull(t *testing.T) {
	s := onRedis(t)
	s.worker(t, func(w *worker.Worker) {
		nothing := func(context.Context, *worker.Task) (any, error) { return 1, nil }
		worker.Must(worker.Raw(w, "go.keeps", nothing))
		worker.Must(worker.Raw(w, "go.ignores", nothing, worker.IgnoreResult()))
	})
	conn := s.redis(t)
	headers := map[string]string{"missing": "", "null": `, "ignore_result": null`, "false": `, "ignore_result": false`, "true": `, "ignore_result": true`}
	stored := map[string]bool{
		"go.keeps missing": true, "go.keeps null": true, "go.keeps false": true, "go.keeps true": false,
		"go.ignores missing": false, "go.ignores null": false, "go.ignores false": true, "go.ignores true": false,
	}
	for name := range stored {
		task, header, _ := strings.Cut(name, " ")
		push(t, conn, "go", `{"task": "`+task+`", "id": "`+name+`"`+headers[header]+`}`, `[[], {}, {}]`)
	}
	c := s.client(t)
	for name, want := range stored {
		if !want {
			continue
		}
		if err := get(t, c.Result(name), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	eventually(t, "tasks remain", func() bool {
		n, err := redis.Int(conn.Do("EVAL", "return redis.call('llen', 'go') + redis.call('hlen', 'unacked')", 0))
		return err == nil && n == 0
	})
	for name, want := range stored {
		if want {
			continue
		}
		if n, err := redis.Int(conn.Do("EXISTS", "celery-task-meta-"+name)); n != 0 || err != nil {
			t.Errorf("%s: a result was stored, %v", name, err)
		}
	}
}

// Which protocol a message speaks is decided by the header task alone: an object
// as the body under such headers is a mixture that Python runs.
func TestTrap18HeadersDecideTheProtocol(t *testing.T) {
	s := onRedis(t)
	s.worker(t, echo)
	old := s
	old.conf = map[string]any{"task_protocol": 1}
	var got int
	old.python(t, &got, `result = app.send_task("go.echo", [41], queue="go").get(timeout=20)`, nil)
	if got != 41 {
		t.Errorf("protocol 1 gave %d", got)
	}
	push(t, s.redis(t), "go", `{"task": "go.echo", "id": "mixed"}`, `{"args": [42], "kwargs": {}, "retries": 0}`)
	if err := get(t, s.client(t).Result("mixed"), &got); err != nil || got != 42 {
		t.Errorf("headers over an object gave %d, %v", got, err)
	}
}

// Two separators are easily mixed up: queue buckets and bindings are joined by
// the bytes 06 16, event types turn their hyphens into dots.
func TestTrap30Separators(t *testing.T) {
	s := onRedis(t)
	send(t, s.client(t), client.Task("t"), client.Queue("q"), client.Priority(3))
	conn := s.redis(t)
	envelope(t, conn, "q\x06\x163")
	members, err := redis.Strings(conn.Do("SMEMBERS", "_kombu.binding.q"))
	if err != nil || len(members) != 1 || members[0] != "q\x06\x16\x06\x16q" {
		t.Errorf("bindings %q, %v", members, err)
	}
	e := protocol.Event{Type: protocol.EventTaskReceived, Hostname: "h"}
	if key := e.RoutingKey(); key != "task.received" {
		t.Errorf("routing key %s", key)
	}
}

// push puts a message on a Redis queue as a producer of its own making.
func push(t *testing.T, conn redis.Conn, queue, headers, body string) {
	t.Helper()
	o := protocol.Object{
		{Name: "body", Value: body}, {Name: "content-encoding", Value: "utf-8"}, {Name: "content-type", Value: "application/json"},
		{Name: "headers", Value: protocol.Raw(headers)},
		{Name: "properties", Value: protocol.Object{
			{Name: "delivery_mode", Value: 2}, {Name: "priority", Value: 0}, {Name: "delivery_tag", Value: protocol.Repr(headers)},
			{Name: "delivery_info", Value: protocol.Object{{Name: "exchange", Value: ""}, {Name: "routing_key", Value: queue}}},
		}},
	}
	raw, err := protocol.Marshal(o)
	must(t, err)
	_, err = conn.Do("LPUSH", queue, []byte(raw))
	must(t, err)
}
