package amqp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const celeryApp = "testdata/celeryapp.py"

// TestPythonProducer has Python send what makes a plain AMQP client close its
// connection: integers beyond 32 bits in headers.
func TestPythonProducer(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	b := newBroker(t, url)
	c := newConsumer(t, b, 10, "celery")
	cmd := testenv.PythonCommand(t, "celery57", celeryApp, "3")
	cmd.Env = append(cmd.Env, "CELERY_BROKER_URL="+url)
	testenv.Start(t, cmd)
	want := map[string]any{
		"milliseconds": json.Number("1763722800123"),
		"far_below":    json.Number("-1099511627776"),
		"price":        json.Number("12.34"),
		"none":         nil,
		"real":         json.Number("-0.25"),
		"small":        json.Number("-5"),
		"yes":          true,
		"bytes":        "raw",
		"when":         "2026-11-21T12:30:00+00:00",
		"task":         "go.add",
		"timelimit":    []any{nil, nil},
		"retries":      json.Number("0"),
		"nested": protocol.Object{{Name: "deep", Value: []any{
			json.Number("1"), json.Number("2147483648"), protocol.Object{{Name: "deeper", Value: json.Number("4611686018427387904")}},
		}}},
	}
	for n := range 3 {
		ds, err := c.Claim(within(t, time.Minute), 1)
		if err != nil {
			t.Fatal(err)
		}
		m := ds[0].Message()
		if diff := cmp.Diff(want, pick(m.Headers, want)); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		p := m.Properties
		if p.CorrelationID != m.Headers.String("id") || p.RoutingKey != "celery" || p.DeliveryMode != protocol.Persistent ||
			p.ReplyTo == "" || p.Priority == nil || *p.Priority != 3 || p.Expiration != "3600000" || m.ContentEncoding != "utf-8" {
			t.Errorf("properties %+v", p)
		}
		if !strings.HasPrefix(string(m.Body), fmt.Sprintf("[[%d, 1], {}, {", n)) {
			t.Errorf("body %s", m.Body)
		}
		// One goes through a delay bucket, with the same headers.
		if n == 0 {
			if err := ds[0].Park(t.Context(), time.Now().Add(1200*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := ds[0].Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d := claimOne(t, c)
	want["far_below"] = json.Number("-1099511627776.0") // older py-amqp reads no negative 64-bit integers
	if diff := cmp.Diff(want, pick(d.Message().Headers, want)); diff != "" || !strings.HasPrefix(body(d), "[[0, 1]") {
		t.Errorf("after parking: %s, headers (-want +got):\n%s", body(d), diff)
	}
}

// pick returns the headers that want has, too.
func pick(headers protocol.Object, want map[string]any) map[string]any {
	got := map[string]any{}
	for name := range want {
		got[name], _ = headers.Get(name)
	}
	return got
}

// TestPythonWorker shares a queue with a Python worker, sends it tasks, reads
// its results and events, and controls it.
func TestPythonWorker(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	b := newBroker(t, url)
	c := newConsumer(t, b, 1, "celery")
	events := subscribe(t, b, broker.SubscribeOptions{
		Exchange: "celeryev", Kind: broker.Topic, RoutingKey: "#", Queue: "celeryev." + uuid.NewString(),
		DurableExchange: true, TTL: 5 * time.Second, Expires: time.Minute,
	})
	oid := uuid.NewString()
	results := subscribe(t, b, broker.SubscribeOptions{Queue: oid, DurableQueue: true, NotExclusive: true, Expires: 24 * time.Hour})

	// It waits in a bucket until the worker is the only consumer.
	sendAdd(t, b, "parked", oid, 2, 3)
	if err := claimOne(t, c).Park(t.Context(), time.Now().Add(1500*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	testenv.StartCelery(t, testenv.Celery{
		Venv: "celery57", App: celeryApp, Broker: url, Backend: "rpc://", Args: []string{"-c", "1", "-E", "-n", "py@here"},
	})
	if err := c.CancelQueue(t.Context(), "celery"); err != nil {
		t.Fatal(err)
	}
	wantResult(t, results, "parked", "5")
	// Both consume.
	if err := c.AddQueue(t.Context(), broker.Queue{Name: "celery"}); err != nil {
		t.Fatal(err)
	}
	if err := c.CancelQueue(t.Context(), "celery"); err != nil {
		t.Fatal(err)
	}
	sendAdd(t, b, "plain", oid, 20, 30)
	wantResult(t, results, "plain", "50")
	waitEvent(t, events, `"task-succeeded"`, `"plain"`)
	pingPython(t, b)
}

// TestPythonControlsOurMailbox has Celery's own command line ask a mailbox that
// was declared here.
func TestPythonControlsOurMailbox(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	b := newBroker(t, url)
	mailbox := subscribe(t, b, broker.SubscribeOptions{
		Exchange: protocol.ControlExchange, Kind: broker.Fanout, Queue: protocol.ControlQueue("umbel@here"),
		Expires: 10 * time.Second, TTL: 5 * time.Minute,
	})
	cmd := testenv.Celery{Venv: "celery57", App: celeryApp, Broker: url}.Command(t, "inspect", "ping", "--timeout", "10", "-d", "umbel@here")
	inspect := testenv.Start(t, cmd)
	m, err := mailbox.Next(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	r, err := protocol.DecodeControlRequest(m)
	if err != nil || r.Method != "ping" {
		t.Fatalf("%+v, %v", r, err)
	}
	reply := protocol.NewMessage(protocol.Object{{Name: "ticket", Value: r.Ticket}, {Name: "clock", Value: 1}}, []byte(`{"umbel@here": {"ok": "pong"}}`))
	reply.Properties.DeliveryMode = protocol.Transient
	err = b.Publish(t.Context(), broker.Publishing{Exchange: r.ReplyToExch, Kind: broker.Direct, RoutingKey: r.ReplyTo, Message: reply, Mandatory: true})
	if err != nil {
		t.Fatal(err)
	}
	inspect.WaitLine("pong", patience)
}

func subscribe(t *testing.T, b *Broker, opts broker.SubscribeOptions) broker.Subscription {
	t.Helper()
	sub, err := b.Subscribe(within(t, patience), opts)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func sendAdd(t *testing.T, b *Broker, id, replyTo string, x, y int) {
	t.Helper()
	m := protocol.NewMessage(protocol.Object{
		{Name: "lang", Value: "go"}, {Name: "task", Value: "add"}, {Name: "id", Value: id}, {Name: "root_id", Value: id},
		{Name: "parent_id", Value: nil}, {Name: "retries", Value: 0}, {Name: "timelimit", Value: []any{nil, nil}},
		{Name: "sent", Value: time.Now().UnixMilli()},
	}, fmt.Appendf(nil, `[[%d, %d], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`, x, y))
	m.Properties.CorrelationID, m.Properties.ReplyTo = id, replyTo
	if err := b.Publish(within(t, patience), broker.Publishing{RoutingKey: "celery", Message: m, Mandatory: true}); err != nil {
		t.Fatal(err)
	}
}

func wantResult(t *testing.T, results broker.Subscription, id, value string) {
	t.Helper()
	m, err := results.Next(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	r, err := protocol.DecodeResult(m.Body)
	if err != nil || r.TaskID != id || r.Status != protocol.StateSuccess || string(r.Value) != value || m.Properties.CorrelationID != id {
		t.Errorf("got %+v, %v; want %s of task %s", r, err, value, id)
	}
}

func waitEvent(t *testing.T, events broker.Subscription, parts ...string) {
	t.Helper()
next:
	for {
		m, err := events.Next(within(t, patience))
		if err != nil {
			t.Fatalf("no event with %q: %v", parts, err)
		}
		for _, part := range parts {
			if !strings.Contains(string(m.Body), part) {
				continue next
			}
		}
		return
	}
}

// pingPython broadcasts a ping and waits for the worker's reply.
func pingPython(t *testing.T, b *Broker) {
	t.Helper()
	oid := uuid.NewString()
	replies := subscribe(t, b, broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: oid, Queue: protocol.ReplyQueue(oid),
		Expires: 10 * time.Second, TTL: 5 * time.Minute,
	})
	m, err := (&protocol.ControlRequest{Method: "ping", Ticket: uuid.NewString(), ReplyTo: oid}).Encode()
	if err == nil {
		err = b.Publish(t.Context(), broker.Publishing{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Message: m})
	}
	if err != nil {
		t.Fatal(err)
	}
	reply, err := replies.Next(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(reply.Body), `"py@here": {"ok": "pong"}`) {
		t.Errorf("got %s", reply.Body)
	}
	if _, err := replies.Next(within(t, 50*time.Millisecond)); err == nil || errors.Is(err, broker.ErrConnection) {
		t.Errorf("after the only reply: %v", err)
	}
}
