package amqp_test

import (
	"context"
	"testing"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/brokertest"
	"github.com/umbel-go/umbel/internal/testenv"
)

// declaring is a producer as Celery's are: it declares the queue of a message
// before it sends to it through the default exchange.
type declaring struct{ broker.Broker }

func (d declaring) Publish(ctx context.Context, msgs ...broker.Publishing) error {
	for _, m := range msgs {
		if m.Exchange == "" {
			if err := d.Declare(ctx, broker.Queue{Name: m.RoutingKey}); err != nil {
				return err
			}
		}
	}
	return d.Broker.Publish(ctx, msgs...)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	dead, err := amqp.New(amqp.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dead.Close() })
	brokertest.Run(t, brokertest.Features{
		RequeueAtHead: true,
		HighFirst:     true,
		HeadersSorted: true,
		ReadyOnly:     true,
		DeadCount: func(t testing.TB, queue string) int {
			infos, err := dead.Queues(t.Context(), "umbel.dead."+queue)
			if err != nil {
				t.Fatal(err)
			}
			return infos[0].Ready
		},
	}, func(t *testing.T) broker.Broker {
		b, err := amqp.New(amqp.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		return declaring{b}
	})
}
