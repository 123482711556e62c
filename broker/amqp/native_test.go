package amqp

import (
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const (
	delayApp = "testdata/delayapp.py"
	delayKey = "slow.key"
)

func TestPlainKey(t *testing.T) {
	bits := strings.Repeat("0.", 25) + "1.1.0."
	for key, want := range map[string]string{
		bits + "slow.key":   "slow.key",
		bits + bits + "q":   bits + "q",
		bits[2:] + "q":      bits[2:] + "q",
		"1.0.q":             "1.0.q",
		"":                  "",
		bits:                "",
		"x" + bits + "slow": "x" + bits + "slow",
	} {
		if got := plainKey(key); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

// TestNativeDelay has Go and a Python worker declare the same, in either order,
// and a Python producer send with a countdown to a queue that Go consumes.
func TestNativeDelay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		queue       broker.Queue
		pythonFirst bool
	}{
		"Go first": {queue: broker.Queue{
			Name: "slow", Exchange: "slow", Kind: broker.Topic, RoutingKey: delayKey,
			Args: map[string]any{argQueueType: quorumQueue},
		}},
		"Python first": {pythonFirst: true, queue: broker.Queue{Name: "slow", RoutingKey: delayKey}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testenv.AMQP(t)
			b := newBroker(t, url)
			worker := testenv.Celery{Venv: "celery57", App: delayApp, Broker: url, Args: []string{"-c", "1", "-n", "py@here"}}
			consume := func() broker.Consumer {
				c, err := b.Consume(within(t, patience), broker.ConsumeOptions{Queues: []broker.Queue{test.queue}})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			var c broker.Consumer
			if !test.pythonFirst {
				c = consume()
			}
			python := testenv.StartCelery(t, worker)
			if test.pythonFirst {
				c = consume()
			}
			python.Stop(patience)
			for _, complaint := range []string{"Failed to", "PRECONDITION", "Traceback"} {
				if strings.Contains(python.Output(), complaint) {
					t.Errorf("the Python worker says %q:\n%s", complaint, python.Output())
				}
			}
			producer := testenv.PythonCommand(t, "celery57", delayApp, "3")
			producer.Env = append(producer.Env, "CELERY_BROKER_URL="+url)
			testenv.Start(t, producer).WaitLine("sent", patience)
			sent := time.Now()
			d := claimOne(t, c)
			task, err := protocol.DecodeTask(d.Message())
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(sent); took < 1500*time.Millisecond || took > 6*time.Second {
				t.Errorf("arrived after %v", took)
			}
			if early := time.Until(task.ETA); early > 1100*time.Millisecond {
				t.Errorf("arrived %v before its eta", early)
			}
			if key := d.Message().Properties.RoutingKey; key != delayKey {
				t.Errorf("routing key %q", key)
			}
			if _, trail := d.Message().Headers.Get("x-death"); trail {
				t.Error("the trail of the cascade is among the headers")
			}
			if err := d.Park(t.Context(), time.Now().Add(1200*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if err := claimOne(t, c).Ack(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNativeDelayOnlyWhereItIsUsed leaves RabbitMQ alone for classic queues.
func TestNativeDelayOnlyWhereItIsUsed(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	newConsumer(t, b, 1, "q")
	s, err := b.consuming.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if exists, err := s.hasExchange(nativeDelivery); err != nil || exists {
		t.Errorf("native delay exists: %v, %v", exists, err)
	}
}

// TestNativeArguments compares with what kombu 5.7 declares for level 27 and 0: a
// queue with other arguments would be refused.
func TestNativeArguments(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	s, err := b.consuming.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.declareNative(classicQueue); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]amqp091.Table{
		"celery_delayed_27": {"x-queue-type": "classic", "x-overflow": "reject-publish", "x-message-ttl": int64(134217728000), "x-dead-letter-exchange": "celery_delayed_26"},
		"celery_delayed_0":  {"x-queue-type": "classic", "x-overflow": "reject-publish", "x-message-ttl": int32(1000), "x-dead-letter-exchange": "celery_delayed_delivery"},
	} {
		err := s.try(func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare(name, true, false, false, false, args)
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// With the other type configured, what exists is used.
	if err := s.declareNative(quorumQueue); err != nil {
		t.Errorf("declared again with another type: %v", err)
	}
}
