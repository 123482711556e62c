package traps

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// Task events may come as lists, their clock must be an integer, utcoffset is
// counted westwards and a float, and the result of a task is its repr: a monitor
// in Python raises or shows nonsense otherwise.
func TestTrap20EventsAsPythonReadsThem(t *testing.T) {
	s := onRedis(t)
	s.worker(t, echo)
	var seen []struct {
		Type, Clock, Offset, Result string
	}
	s.python(t, &seen, `
from time import monotonic
events, end = [], monotonic() + 20
receiver = app.events.Receiver(app.connection_for_read(), handlers={"*": events.append})
stream = receiver.itercapture(timeout=20, wakeup=False)
next(stream)
for _ in range(20):
    app.send_task("go.echo", ["x"], queue="go")
finished = lambda: [e for e in events if e["type"] == "task-succeeded"]
while len(finished()) < 20 and monotonic() < end:
    next(stream)
result = [{"type": e["type"], "clock": type(e["clock"]).__name__, "offset": type(e["utcoffset"]).__name__,
           "result": e.get("result")} for e in events]`, nil)
	count := map[string]int{}
	for _, e := range seen {
		count[e.Type]++
		if e.Clock != "int" || e.Offset != "float" || e.Type == "task-succeeded" && e.Result != "'x'" {
			t.Errorf("%+v", e)
		}
	}
	for _, kind := range []string{"task-received", "task-started", "task-succeeded"} {
		if count[kind] != 20 {
			t.Errorf("%d events %s, want 20", count[kind], kind)
		}
	}
	if east := protocol.UTCOffset(time.Date(2026, 7, 1, 0, 0, 0, 0, time.FixedZone("", 2*3600))); east != -2 {
		t.Errorf("the offset of UTC+2 is %v", east)
	}
}

// hello carries revoked ids as a list since 5.7 and as an object before; the
// clock in stats is a string; a state in query_task is a pair.
func TestTrap21RepliesHaveOddShapes(t *testing.T) {
	s := besidePython(t)
	release := make(chan struct{})
	s.worker(t, func(w *worker.Worker) {
		worker.Must(worker.Raw(w, "go.wait", func(ctx context.Context, _ *worker.Task) (any, error) {
			<-release
			return nil, nil
		}))
	})
	defer close(release)
	c := s.client(t)
	r := send(t, c, client.Task("go.wait"))
	var query map[string][]any
	eventually(t, "the task is not active", func() bool {
		query = nil
		reply(t, c, &query, "query_task", protocol.Object{{Name: "ids", Value: []string{r.ID}}})
		return len(query) == 1
	})
	if pair := query[r.ID]; len(pair) != 2 || pair[0] != "active" {
		t.Errorf("query_task says %v", query)
	}
	var stats struct{ Clock any }
	reply(t, c, &stats, "stats", nil)
	if _, ok := stats.Clock.(string); !ok {
		t.Errorf("the clock in stats is a %T", stats.Clock)
	}
	var hello struct{ Revoked []string }
	for _, revoked := range []string{`["one", "two"]`, `{"three": [1.5, "three"]}`} {
		reply(t, c, &hello, "hello", protocol.Object{{Name: "from_node", Value: "other@node"}, {Name: "revoked", Value: protocol.Raw(revoked)}})
	}
	if got := strings.Join(hello.Revoked, " "); got != "one two three" {
		t.Errorf("hello knows %q", got)
	}
	s.python(t, nil, `
nodes = ["go@traps", "py@traps"]
answers = app.control.inspect(nodes, timeout=20, limit=2).hello("other@node", ["four"])
assert sorted(answers) == nodes, answers
for node, answer in answers.items():
    assert isinstance(answer["revoked"], list) and "four" in answer["revoked"], (node, answer)`, nil)
}

// reply asks our worker.
func reply(t *testing.T, c *client.Client, into any, method string, args protocol.Object) {
	t.Helper()
	replies, err := c.Inspect(t.Context(), method, args, client.ControlOptions{Destination: []string{"go@traps"}, Timeout: patience})
	must(t, err)
	if err := protocol.Unmarshal(replies["go@traps"], into); err != nil {
		t.Fatalf("%s: %s: %v", method, replies["go@traps"], err)
	}
}

// The header expires of a request is written by every client and read by no
// Python worker: clocks differ, and who believes it ignores its operators.
func TestTrap22ExpiresOfARequestIsNotEnforced(t *testing.T) {
	s := besidePython(t)
	s.worker(t, nil)
	b, _ := s.connect(t)
	sub, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: "trap-22", Queue: protocol.ReplyQueue("trap-22"),
		TTL: protocol.ControlTTL, Expires: protocol.ControlExpires,
	})
	must(t, err)
	defer sub.Close()
	req := protocol.ControlRequest{Method: "ping", Ticket: "t", ReplyTo: "trap-22", ExpiresAfter: 1}
	m, err := req.Encode()
	must(t, err)
	must(t, b.Publish(t.Context(), broker.Publishing{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Message: m}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for answered := map[string]bool{}; len(answered) < 2; {
		m, err := sub.Next(ctx)
		if err != nil {
			t.Fatalf("only %v answered: %v", answered, err)
		}
		r, err := protocol.DecodeControlReply(m)
		must(t, err)
		answered[r.Node] = true
	}
}

// An election that one odd worker starts breaks the consumer loop of Python
// workers while they sort the candidates: ours never starts one, also when told.
func TestTrap23NoElections(t *testing.T) {
	s := besidePython(t)
	next := s.events(t)
	s.worker(t, nil)
	c := s.client(t)
	must(t, c.Broadcast(t.Context(), "election", protocol.Object{
		{Name: "id", Value: "e1"}, {Name: "topic", Value: "task"}, {Name: "action", Value: nil}}, "go@traps"))
	for beats := 0; beats < 4; {
		e := next()
		if e.Type == "worker-elect" {
			t.Fatalf("%s started an election", e.Hostname)
		}
		if e.Hostname == "go@traps" && e.Type == protocol.EventWorkerHeartbeat {
			beats++
		}
	}
	s.python(t, nil, `assert app.send_task("py.echo", [1], queue="py").get(timeout=20) == 1`, nil)
}

// Since 5.7 celery beat may answer ping: a node is a worker when it sends
// heartbeats, not when it answers.
func TestTrap35PingMayComeFromBeat(t *testing.T) {
	s := onRedis(t)
	next := s.events(t)
	s.worker(t, nil)
	beat := testenv.Celery{Venv: "celery57", App: "testdata/pyapp.py", Broker: s.broker, Backend: s.backend}
	testenv.Start(t, beat.Command(t, "beat", "-s", filepath.Join(t.TempDir(), "schedule")))
	c := s.client(t)
	beatName := ""
	eventually(t, "beat does not answer", func() bool {
		replies, err := c.Inspect(t.Context(), "ping", nil, client.ControlOptions{Limit: 2})
		must(t, err)
		for node := range replies {
			if strings.HasPrefix(node, "celerybeat@") {
				beatName = node
			}
		}
		return len(replies) == 2 && beatName != ""
	})
	workers := state.New()
	for beats := 0; beats < 4; {
		e := next()
		_, err := workers.Apply(e, protocol.Seconds(time.Now()))
		must(t, err)
		if e.Type == protocol.EventWorkerHeartbeat {
			beats++
		}
	}
	if list := workers.Workers(); len(list) != 1 || list[0].Hostname != "go@traps" || workers.Worker(beatName) != nil {
		t.Errorf("workers are %v", list)
	}
	replies, err := c.Inspect(t.Context(), "registered", nil, client.ControlOptions{Limit: 2})
	must(t, err)
	if names, err := protocol.RegisteredNames(replies[beatName]); err == nil && len(names) > 0 {
		t.Errorf("beat registers %v", names)
	}
}

// events returns a function that waits for the next event.
func (s stage) events(t *testing.T) func() *protocol.Event {
	t.Helper()
	b, _ := s.connect(t)
	sub, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.EventExchange, Kind: broker.Topic, RoutingKey: "#", Queue: "celeryev.traps", DurableExchange: true,
		TTL: time.Minute, Expires: time.Minute,
	})
	must(t, err)
	t.Cleanup(func() { sub.Close() })
	var waiting []*protocol.Event
	return func() *protocol.Event {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for len(waiting) == 0 {
			m, err := sub.Next(ctx)
			if err != nil {
				t.Fatalf("wait for an event: %v", err)
			}
			waiting, err = protocol.DecodeEvents(m)
			must(t, err)
		}
		e := waiting[0]
		waiting = waiting[1:]
		return e
	}
}
