package amqp

import (
	"errors"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/brokertest"
	"github.com/umbel-go/umbel/internal/testenv"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	brokertest.RunDeadLetters(t, func(t *testing.T) broker.Broker {
		b, err := New(Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// TestReplayManyInBatches has more letters than one window of confirms, among them
// one that somebody else put there.
func TestReplayManyInBatches(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	if err := b.Declare(t.Context(), broker.Queue{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	const count = 2*confirmWindow + 7
	for range count {
		if err := b.bury(t.Context(), "q", amqp091.Publishing{Headers: amqp091.Table{}}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	send(t, b, deadPrefix+"q", "foreign")
	if letters, err := b.ListDead(t.Context(), "q", 1); err != nil || letters[0].ID != "foreign" {
		t.Errorf("got %+v, %v", letters, err)
	}
	if n, err := b.ReplayDead(within(t, patience), "q"); err != nil || n != count+1 {
		t.Fatalf("replayed %d, %v; want %d", n, err, count+1)
	}
	eventuallyReady(t, b, "q", count+1)
	eventuallyReady(t, b, deadPrefix+"q", 0)
}

// TestReplayWithoutQueue keeps the letters of a queue that was deleted.
func TestReplayWithoutQueue(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	for range 2 {
		if err := b.bury(t.Context(), "gone", amqp091.Publishing{Headers: amqp091.Table{}}, "test"); err != nil {
			t.Fatal(err)
		}
	}
	n, err := b.ReplayDead(within(t, patience), "gone")
	if n != 0 || !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("replayed %d, %v; want ErrNoQueue", n, err)
	}
	eventuallyReady(t, b, deadPrefix+"gone", 2)
}

// TestDeadQueueDeleted has an operator delete the dead-letter queue.
func TestDeadQueueDeleted(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	for range 2 {
		if err := b.bury(within(t, patience), "q", amqp091.Publishing{Headers: amqp091.Table{}}, "test"); err != nil {
			t.Fatal(err)
		}
		eventuallyReady(t, b, deadPrefix+"q", 1)
		s, err := b.subscribing.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = s.try(func(ch *amqp091.Channel) error {
			_, err := ch.QueueDelete(deadPrefix+"q", false, false, false)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
