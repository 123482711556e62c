package redis_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// BenchmarkClaimAck claims batches and acknowledges their messages one by one,
// from as many goroutines as a batch has messages.
func BenchmarkClaimAck(b *testing.B) {
	for _, n := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			br := open(b, redis.Config{URL: testenv.Redis(b)})
			defer br.Close()
			m := protocol.NewMessage(protocol.Object{{Name: "id", Value: "x"}}, make([]byte, 300))
			msgs := make([]broker.Publishing, b.N)
			for i := range msgs {
				msgs[i] = broker.Publishing{RoutingKey: "celery", Message: m}
			}
			if err := br.Publish(b.Context(), msgs...); err != nil {
				b.Fatal(err)
			}
			c, err := br.Consume(b.Context(), broker.ConsumeOptions{Worker: "w", Queues: []broker.Queue{{Name: "celery"}}, Prefetch: n})
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for left := b.N; left > 0; {
				ds, err := c.Claim(b.Context(), n)
				if err != nil {
					b.Fatal(err)
				}
				left -= len(ds)
				var wg sync.WaitGroup
				for _, d := range ds {
					wg.Go(func() {
						if err := d.Ack(b.Context()); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
		})
	}
}
