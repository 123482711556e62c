package traps

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// Priority 0 is the best on Redis and the worst on RabbitMQ.
func TestTrap04PriorityHasTwoDirections(t *testing.T) {
	for _, test := range []struct {
		name  string
		open  func(*testing.T) stage
		first int
	}{{"redis", onRedis, 0}, {"amqp", onRabbitMQ, 9}} {
		t.Run(test.name, func(t *testing.T) {
			s := test.open(t)
			b, _ := s.connect(t)
			must(t, b.Declare(t.Context(), broker.Queue{Name: "go", Args: map[string]any{"x-max-priority": 10}}))
			s.python(t, nil, `
for priority in (3, 9, 0):
    connection.Producer().publish("[[], {}, {}]", routing_key="go", priority=priority, content_type="application/json",
                                  content_encoding="utf-8", headers={"task": "t", "id": str(priority)})`, nil)
			eventually(t, "messages are missing", func() bool {
				q, err := b.Queues(t.Context(), "go")
				return err == nil && q[0].Ready == 3
			})
			c := s.consumer(t, "go")
			for _, want := range []int{test.first, 3, 9 - test.first} {
				if task := taskOf(t, claim(t, c)); task.ID != fmt.Sprint(want) {
					t.Errorf("took %s, want priority %d", task.ID, want)
				}
			}
		})
	}
}

// py-amqp writes integers above 31 bits with a type byte that only it uses, and
// reads 16-bit and negative 64-bit ones wrongly before 5.4: the first closes the
// connection of a Go client, the second changes values.
func TestTrap11IntegersInHeaders(t *testing.T) {
	s := onRabbitMQ(t)
	c := s.consumer(t, "go")
	s.python(t, nil, `app.send_task("t", queue="go", headers={"big": 2**40, "small": -5, "list": [2**40]})`, nil)
	task := taskOf(t, claim(t, c))
	for name, want := range map[string]string{"big": "1099511627776", "small": "-5", "list": "[1099511627776]"} {
		v, _ := task.Headers.Get(name)
		if got, err := protocol.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%s arrived as %s, %v", name, got, err)
		}
	}
	send(t, s.client(t), client.Task("t"), client.Queue("raw"), client.Header("big", 1<<40), client.Header("small", 5), client.Header("minus", -5))
	conn, err := amqp.Dial(s.broker)
	must(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	must(t, err)
	m, ok, err := ch.Get("raw", true)
	if err != nil || !ok {
		t.Fatalf("no message: %v", err)
	}
	for name, want := range map[string]any{"big": int64(1 << 40), "small": int32(5), "minus": int32(-5)} {
		if got := m.Headers[name]; got != want {
			t.Errorf("%s is sent as %T %v, want %T", name, got, got, want)
		}
	}
}

// On RabbitMQ the option expires is also the message's own time to live: the
// broker drops it silently, and nobody ever stores REVOKED. A client that waits
// for the result of an expired task waits for ever.
func TestTrap29ExpiredMessagesVanish(t *testing.T) {
	s := onRabbitMQ(t)
	b, _ := s.connect(t)
	must(t, b.Declare(t.Context(), broker.Queue{Name: "go"}))
	c := s.client(t)
	expires := time.Now().Add(500 * time.Millisecond)
	ours := send(t, c, client.Task("t"), client.Queue("go"), client.Expires(expires))
	s.python(t, nil, `app.send_task("t", queue="go", expires=0.5)`, nil)
	ready := func() int {
		q, err := b.Queues(t.Context(), "go")
		must(t, err)
		return q[0].Ready
	}
	eventually(t, "messages outlive their expiration", func() bool { return time.Now().After(expires) && ready() == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := ours.Get(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a message that vanished ended with %v", err)
	}
}

// The results of rpc:// go to reply_to under correlation_id: a retry that does
// not carry both on leaves its caller waiting, and steps of a canvas have the
// reply_to that was frozen into them.
func TestTrap32RetriesKeepReplyTo(t *testing.T) {
	s := onRabbitMQ(t)
	s.worker(t, func(w *worker.Worker) {
		worker.Must(worker.Func(w, "go.flaky", func(ctx context.Context, x int) (int, error) {
			if worker.FromContext(ctx).Retries == 0 {
				return 0, worker.Retry(errors.New("not yet"), 50*time.Millisecond)
			}
			return x + 1, nil
		}))
	})
	var got int
	s.python(t, &got, `result = app.send_task("go.flaky", [1], queue="go").get(timeout=20)`, nil)
	if got != 2 {
		t.Errorf("a retried task gave %d", got)
	}
	s.python(t, &got, `
flaky = lambda *args: signature("go.flaky", args=args, app=app, queue="go")
result = chain(flaky(1), flaky(), flaky()).apply_async().get(timeout=20)`, nil)
	if got != 4 {
		t.Errorf("a chain of retried tasks gave %d", got)
	}
}
