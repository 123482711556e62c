package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"github.com/google/uuid"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const python = "celery57"

// pythonWorker runs one task at a time and restores what is older than its
// visibility timeout in seconds.
func pythonWorker(t *testing.T, url string, visibility int, args ...string) *testenv.Process {
	t.Helper()
	return testenv.StartCelery(t, testenv.Celery{
		Venv: python, App: "testdata/shared.py", Broker: url,
		Args: append([]string{"-P", "solo", "-n", "py@" + uuid.NewString()[:8], "--without-mingle"}, args...),
		Env:  []string{fmt.Sprint("VISIBILITY_TIMEOUT=", visibility)},
	})
}

// script runs the app as a program.
func script(t *testing.T, url string, args ...string) *testenv.Process {
	t.Helper()
	cmd := testenv.PythonCommand(t, python, "testdata/shared.py", args...)
	cmd.Env = append(cmd.Env, "CELERY_BROKER_URL="+url)
	return testenv.Start(t, cmd)
}

// sendPython sends tasks for shared.run as Go does.
func sendPython(t *testing.T, b *redis.Broker, seconds float64, names ...string) {
	t.Helper()
	for _, name := range names {
		m := pythonTask("shared.run", name, seconds)
		if err := b.Publish(t.Context(), broker.Publishing{RoutingKey: "celery", Message: m}); err != nil {
			t.Fatal(err)
		}
	}
}

// pythonTask is a message for a task that takes a name and seconds.
func pythonTask(task, name string, seconds float64) *protocol.Message {
	body := fmt.Sprintf(`[[%q, %v], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`, name, seconds)
	id := uuid.NewString()
	m := protocol.NewMessage(protocol.Object{
		{Name: "lang", Value: "py"}, {Name: "task", Value: task}, {Name: "id", Value: id},
		{Name: "root_id", Value: id}, {Name: "parent_id", Value: nil}, {Name: "group", Value: nil},
	}, []byte(body))
	m.Properties.CorrelationID = id
	return m
}

func consumeCelery(t *testing.T, b *redis.Broker, prefetch int) broker.Consumer {
	t.Helper()
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{
		Worker: "go@test", Queues: []broker.Queue{{Name: "celery"}}, Prefetch: prefetch})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func claimOne(t *testing.T, c broker.Consumer, limit time.Duration) broker.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ds, err := c.Claim(ctx, 1)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return ds[0]
}

func nameOf(d broker.Delivery) string {
	var body []json.RawMessage
	var args []any
	if json.Unmarshal(d.Message().Body, &body) != nil || json.Unmarshal(body[0], &args) != nil {
		return ""
	}
	return args[0].(string)
}

func TestPythonSharesQueue(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	const n = 100
	url := testenv.Redis(t)
	worker := pythonWorker(t, url, 3600)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	c := consumeCelery(t, b, 1)
	script(t, url, "send", fmt.Sprint(n))
	seen := map[string]int{}
	testenv.Eventually(t, 40*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // Python may have the last one
		defer cancel()
		for {
			ds, err := c.Claim(ctx, 1)
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			seen[nameOf(ds[0])]++
			if err := ds[0].Ack(t.Context()); err != nil {
				return err
			}
		}
		if got := len(seen) + ended(worker); got != n {
			return fmt.Errorf("%d of %d tasks ran, %d of them in Go", got, n, len(seen))
		}
		return nil
	})
	if len(seen) == 0 || len(seen) == n {
		t.Errorf("Go ran %d of %d tasks, want a share", len(seen), n)
	}
	for name, times := range seen {
		if times != 1 || strings.Contains(worker.Output(), "start "+name+" ") {
			t.Errorf("%s ran more than once", name)
		}
	}
}

func ended(p *testenv.Process) int { return strings.Count(p.Output(), "end py-") }

// TestPythonRestoresOurClaim holds a claim for longer than the visibility timeout
// of a Python worker, which must leave it alone, and then vanishes with it.
func TestPythonRestoresOurClaim(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url, Lease: testLease})
	sendPython(t, b, 0, "held")
	do(t, url, "LPUSH", "celery", "not json")
	do(t, url, "LPUSH", "celery", "{not json}")
	c := consumeCelery(t, b, 4)
	for range 3 {
		claimOne(t, c, 10*time.Second)
	}
	worker := pythonWorker(t, url, 4)
	sendPython(t, b, 0, "marker")
	worker.WaitLine("end marker", 20*time.Second)
	time.Sleep(6 * time.Second) // the time in which nothing may happen
	if strings.Contains(worker.Output(), "start held") {
		t.Fatal("Python took a claim that was being renewed")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	worker.WaitLine("start held redelivered True", 20*time.Second)
	b = open(t, redis.Config{URL: url})
	defer b.Close()
	sendPython(t, b, 0, "after")
	worker.WaitLine("end after", 20*time.Second)
	testenv.Eventually(t, 20*time.Second, func() error { // Python acknowledges after what it prints
		if n, _ := redigo.Int(do(t, url, "HLEN", "unacked"), nil); n != 0 {
			return fmt.Errorf("%d records left in unacked", n)
		}
		return nil
	})
}

// TestPythonClaimsAreLeftAlone has a Python worker run a task for longer than our
// lease, and kills it then: only the visibility timeout returns the message.
func TestPythonClaimsAreLeftAlone(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	worker := pythonWorker(t, url, 3600)
	b := open(t, redis.Config{URL: url, Lease: testLease, VisibilityTimeout: 6 * time.Second})
	defer b.Close()
	sendPython(t, b, 60, "long")
	worker.WaitLine("start long", 20*time.Second)
	started := time.Now()
	c := consumeCelery(t, b, 1)
	worker.Kill()
	d := claimOne(t, c, 30*time.Second)
	if took := time.Since(started); took < 5*time.Second || nameOf(d) != "long" || !d.Redelivered() {
		t.Errorf("got %q after %v, redelivered %v; want long after the visibility timeout", nameOf(d), took, d.Redelivered())
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPythonControl(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	const node = "go@test"
	requests, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.ControlExchange, Kind: broker.Fanout, Queue: protocol.ControlQueue(node), Expires: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	client := script(t, url, "ping", node)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := requests.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req, err := protocol.DecodeControlRequest(m)
	if err != nil || req.Method != "ping" {
		t.Fatalf("request %+v, %v", req, err)
	}
	answer := protocol.NewMessage(protocol.Object{{Name: "ticket", Value: req.Ticket}, {Name: "clock", Value: 1}},
		[]byte(`{"go@test": {"ok": "pong"}}`))
	err = b.Publish(ctx, broker.Publishing{Exchange: protocol.ReplyExchange, RoutingKey: req.ReplyTo, Message: answer})
	if err != nil {
		t.Fatal(err)
	}
	client.WaitLine("{'go@test': {'ok': 'pong'}}", 20*time.Second)
}

func TestAskPython(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	pythonWorker(t, url, 3600)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	oid := uuid.NewString()
	replies, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: protocol.ReplyExchange, Kind: broker.Direct, RoutingKey: oid, Queue: protocol.ReplyQueue(oid), Expires: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	events, err := b.Subscribe(t.Context(), broker.SubscribeOptions{
		Exchange: "celeryev", Kind: broker.Topic, RoutingKey: "worker.#", Queue: "celeryev." + oid, Expires: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	req := protocol.ControlRequest{Method: "ping", Ticket: uuid.NewString(), ReplyTo: oid}
	m, err := req.Encode()
	if err != nil {
		t.Fatal(err)
	}
	// A worker that says it is ready subscribes a moment later.
	testenv.Eventually(t, 20*time.Second, func() error {
		if err := b.Publish(t.Context(), broker.Publishing{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Message: m}); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		reply, err := replies.Next(ctx)
		if err == nil && !strings.Contains(string(reply.Body), `"ok": "pong"`) {
			err = fmt.Errorf("reply %s", reply.Body)
		}
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if m, err = events.Next(ctx); err != nil || m.Properties.RoutingKey != "worker.heartbeat" {
		t.Fatalf("event %v, %v", m, err)
	}
}
