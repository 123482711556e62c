package amqp

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func TestQueueArgs(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		args map[string]any
		want amqp091.Table
	}{
		"none":    {},
		"classic": {cfg: Config{QueueType: classicQueue}},
		"quorum":  {cfg: Config{QueueType: quorumQueue, QueueMaxPriority: 5}, want: amqp091.Table{argQueueType: "quorum"}},
		"own type first": {
			cfg: Config{QueueType: quorumQueue}, args: map[string]any{argQueueType: "classic"},
			want: amqp091.Table{argQueueType: "classic"},
		},
		"priority":           {cfg: Config{QueueMaxPriority: 5}, want: amqp091.Table{argMaxPriority: int32(5)}},
		"own priority first": {cfg: Config{QueueMaxPriority: 5}, args: map[string]any{"max_priority": 9}, want: amqp091.Table{argMaxPriority: int32(9)}},
		"kombu's options": {
			args: map[string]any{
				"expires": 1.5, "message_ttl": 60, "max_length": int64(1000), "max_length_bytes": 3e9, "max_priority": nil,
				"consumer_arguments": map[string]any{"x-priority": 1}, "x-queue-mode": "lazy",
			},
			want: amqp091.Table{
				"x-expires": int32(1500), "x-message-ttl": int32(60000), "x-max-length": int32(1000), "x-max-length-bytes": int64(3e9), "x-queue-mode": "lazy",
			},
		},
	} {
		got, err := test.cfg.queueArgs(broker.Queue{Name: "q", Args: test.args})
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	bad := broker.Queue{Name: "q", Args: map[string]any{"expires": "soon", argConsumerArgs: 3}}
	if _, err := (&Config{}).queueArgs(bad); err == nil {
		t.Error("a queue that expires soon was accepted")
	}
	if _, err := consumerArgs(bad); err == nil {
		t.Error("consumer arguments that are no table were accepted")
	}
}

// TestConsumerPriority has two consumers of different priority: the higher one
// gets everything while it has room.
func TestConsumerPriority(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	low := consumeTyped(t, newBroker(t, url), 5, "q", nil)
	high := consumeTyped(t, newBroker(t, url), 5, "q", map[string]any{argConsumerArgs: map[string]any{"x-priority": 10}})
	send(t, newBroker(t, url), "q", numbered(5)...)
	seen := map[string]int{}
	claimUntil(t, high, seen, 5)
	low.mu.Lock()
	defer low.mu.Unlock()
	if n := len(low.streams["q"].waiting); n > 0 {
		t.Errorf("%d went to the consumer of lower priority", n)
	}
}

// TestQueuesOfPythonStayAsTheyAre consumes and publishes where an application has
// declared queues and exchanges of other kinds.
func TestQueuesOfPythonStayAsTheyAre(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	s, err := b.subscribing.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]amqp091.Table{
		"quorum":   {argQueueType: quorumQueue},
		"priority": {argMaxPriority: int32(10)},
		"ttl":      {"x-message-ttl": int32(60000), "x-expires": int32(600000)},
		"bounded":  {"x-max-length": int32(100), "x-overflow": "reject-publish"},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.try(func(ch *amqp091.Channel) error {
				if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
					return err
				}
				if err := ch.ExchangeDeclare(name, broker.Topic, true, false, false, false, nil); err != nil {
					return err
				}
				return ch.QueueBind(name, name+".#", name, false, nil)
			})
			if err != nil {
				t.Fatal(err)
			}
			c := newConsumer(t, b, 1, name)
			send(t, b, name, "a")
			if d := claimOne(t, c); body(d) != "a" {
				t.Errorf("got %s", body(d))
			}
		})
	}
	if s.IsClosed() {
		t.Error("the connection was closed on the way")
	}
}

// TestBroadcastQueue is deleted with its last consumer, as kombu's is.
func TestBroadcastQueue(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	q := broker.Queue{Name: "bcast.1", Exchange: "all", Kind: broker.Fanout, Args: map[string]any{"auto_delete": true}}
	c, err := b.Consume(within(t, patience), broker.ConsumeOptions{Queues: []broker.Queue{q}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "any"} {
		p := broker.Publishing{Exchange: "all", Kind: broker.Fanout, RoutingKey: key, Mandatory: true, Message: protocol.NewMessage(nil, nil)}
		if err := b.Publish(within(t, patience), p); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
		if err := claimOne(t, c).Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := c.Close(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, func() error {
		err := b.Publish(t.Context(), broker.Publishing{RoutingKey: q.Name, Mandatory: true, Message: protocol.NewMessage(nil, nil)})
		if !errors.Is(err, broker.ErrNoQueue) {
			return fmt.Errorf("the queue is still there: %v", err)
		}
		return nil
	})
}
