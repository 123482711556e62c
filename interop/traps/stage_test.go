package traps

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	backends "github.com/umbel-go/umbel/backend/dial"
	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// patience is how long anything may take on a busy machine.
const patience = 20 * time.Second

// stage is a broker and a result backend that Go and Python both use. conf are
// settings of the Python peer's app.
type stage struct {
	broker, backend string
	conf            map[string]any
}

func onRedis(t *testing.T) stage {
	t.Helper()
	url := testenv.Redis(t)
	return stage{broker: url, backend: url}
}

func onRabbitMQ(t *testing.T) stage {
	t.Helper()
	return stage{broker: testenv.AMQP(t), backend: "rpc://"}
}

var sharedWorker stage

// besidePython is a stage on Redis with a Python worker, node py@traps, on the
// queue "py". All tests that need one share it.
func besidePython(t *testing.T) stage {
	t.Helper()
	if sharedWorker.broker == "" {
		url := testenv.Redis(lasting{t})
		testenv.StartCelery(lasting{t}, testenv.Celery{
			Venv: "celery57", App: "testdata/pyapp.py", Broker: url, Backend: url,
			Args: []string{"-P", "solo", "-n", "py@traps", "-Q", "py"},
		})
		sharedWorker = stage{broker: url, backend: url}
	}
	return sharedWorker
}

func (s stage) connect(t *testing.T) (broker.Broker, backend.Backend) {
	t.Helper()
	b, err := brokers.Open(s.broker)
	must(t, err)
	t.Cleanup(func() { b.Close() })
	results, err := backends.Open(s.backend, b)
	must(t, err)
	t.Cleanup(func() { results.Close() })
	return b, results
}

func (s stage) client(t *testing.T) *client.Client {
	t.Helper()
	b, results := s.connect(t)
	return client.New(client.Config{Broker: b, Backend: results, Queue: "go"})
}

// worker runs a Go worker, node go@traps, on the queue "go" until the test ends.
func (s stage) worker(t *testing.T, register func(*worker.Worker)) *worker.Worker {
	t.Helper()
	b, results := s.connect(t)
	w := worker.New(worker.Config{
		Broker: b, Backend: results, Queues: []broker.Queue{{Name: "go"}}, Queue: "go",
		Name: "go@traps", Concurrency: 2, TaskEvents: true, Heartbeat: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if register != nil {
		register(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("worker ended with %v", err)
			}
		case <-time.After(patience):
			t.Errorf("worker did not stop within %v", patience)
		}
	})
	select {
	case <-w.Online():
	case <-time.After(patience):
		t.Fatalf("worker is not online after %v", patience)
	}
	return w
}

// echo registers go.echo, which returns its only argument as it came.
func echo(w *worker.Worker) {
	worker.Must(worker.Raw(w, "go.echo", func(_ context.Context, t *worker.Task) (any, error) {
		return t.Args[0], nil
	}))
}

// consumer takes messages off queues in this process.
func (s stage) consumer(t *testing.T, queues ...string) broker.Consumer {
	t.Helper()
	b, _ := s.connect(t)
	opts := broker.ConsumeOptions{Worker: "consumer@traps", Prefetch: 10}
	for _, q := range queues {
		opts.Queues = append(opts.Queues, broker.Queue{Name: q})
	}
	c, err := b.Consume(t.Context(), opts)
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Errorf("close consumer: %v", err)
		}
	})
	return c
}

// claim takes one message.
func claim(t *testing.T, c broker.Consumer) broker.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ds, err := c.Claim(ctx, 1)
	if err != nil || len(ds) != 1 {
		t.Fatalf("claimed %d messages: %v", len(ds), err)
	}
	return ds[0]
}

// taskOf decodes a claimed message and acknowledges it.
func taskOf(t *testing.T, d broker.Delivery) *protocol.Task {
	t.Helper()
	task, err := protocol.DecodeTask(d.Message())
	must(t, err)
	must(t, d.Ack(t.Context()))
	return task
}

// redis is a bare connection to the stage's database.
func (s stage) redis(t *testing.T) redis.Conn {
	t.Helper()
	conn, err := redis.DialURL(s.broker)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// envelope is the one message of a Redis queue as it lies there.
func envelope(t *testing.T, conn redis.Conn, queue string) protocol.Object {
	t.Helper()
	list, err := redis.ByteSlices(conn.Do("LRANGE", queue, 0, -1))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d messages on %s, want one: %v", len(list), queue, err)
	}
	o, err := protocol.DecodeObject(list[0])
	must(t, err)
	return o
}

// at follows the names through objects.
func at(t *testing.T, o protocol.Object, names ...string) any {
	t.Helper()
	var v any = o
	for _, name := range names {
		o, ok := v.(protocol.Object)
		if !ok {
			t.Fatalf("no object holds %s: %v", name, v)
		}
		v, _ = o.Get(name)
	}
	return v
}

// get waits for a task's result.
func get(t *testing.T, r *client.Result, into any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return r.Get(ctx, into)
}

// send sends a signature.
func send(t *testing.T, c *client.Client, sig protocol.Signature, opts ...client.Option) *client.Result {
	t.Helper()
	r, err := c.Send(t.Context(), sig, opts...)
	must(t, err)
	return r
}

// eventually is testenv.Eventually with our patience and a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	testenv.Eventually(t, patience, func() error {
		if !holds() {
			return fmt.Errorf("%s", what)
		}
		return nil
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
