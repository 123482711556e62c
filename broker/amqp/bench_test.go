package amqp

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// BenchmarkSettle claims messages and settles each by a call of its own, with
// this many calls at a time, as the slots of a worker do.
func BenchmarkSettle(b *testing.B) {
	for name, settle := range map[string]func(broker.Delivery) error{
		"ack":  func(d broker.Delivery) error { return d.Ack(b.Context()) },
		"park": func(d broker.Delivery) error { return d.Park(b.Context(), time.Now().Add(time.Hour)) },
		"dead": func(d broker.Delivery) error { return d.Dead(b.Context(), "benchmark") },
	} {
		for _, slots := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/slots=%d", name, slots), func(b *testing.B) { benchmarkSettle(b, slots, settle) })
		}
	}
}

func benchmarkSettle(b *testing.B, slots int, settle func(broker.Delivery) error) {
	br := benchBroker(b)
	c, err := br.Consume(b.Context(), broker.ConsumeOptions{Queues: []broker.Queue{{Name: "q"}}, Prefetch: 2 * slots})
	if err != nil {
		b.Fatal(err)
	}
	if err := br.Publish(b.Context(), benchMessages(b.N)...); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	free := make(chan struct{}, slots)
	var running sync.WaitGroup
	for left := b.N; left > 0; {
		ds, err := c.Claim(b.Context(), min(left, slots))
		if err != nil {
			b.Fatal(err)
		}
		left -= len(ds)
		for _, d := range ds {
			free <- struct{}{}
			running.Go(func() {
				defer func() { <-free }()
				if err := settle(d); err != nil {
					b.Error(err)
				}
			})
		}
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkPublish publishes batches.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			br := benchBroker(b)
			if err := br.Declare(b.Context(), broker.Queue{Name: "q"}); err != nil {
				b.Fatal(err)
			}
			msgs := benchMessages(size)
			b.ResetTimer()
			for range b.N {
				if err := br.Publish(b.Context(), msgs...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

func benchBroker(b *testing.B) *Broker {
	b.Helper()
	br, err := New(Config{URL: testenv.AMQP(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { br.Close() })
	return br
}

func benchMessages(n int) []broker.Publishing {
	msgs := make([]broker.Publishing, n)
	for i := range msgs {
		msgs[i] = broker.Publishing{RoutingKey: "q", Message: protocol.NewMessage(nil, []byte(`[[2, 3], {}, {}]`))}
	}
	return msgs
}
