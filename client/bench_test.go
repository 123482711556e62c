package client_test

import (
	"context"
	"testing"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// bulk is how many tasks the benchmark of SendAll sends in one call.
const bulk = 1000

func purged(b *testing.B) *client.Client {
	c := open(b, testenv.Redis(b))
	b.Cleanup(func() {
		if _, err := c.Broker().Purge(context.Background(), client.DefaultQueue); err != nil {
			b.Error(err)
		}
	})
	b.ReportAllocs()
	return c
}

// One round trip a task.
func BenchmarkSend(b *testing.B) {
	c := purged(b)
	for b.Loop() {
		if _, err := c.Send(b.Context(), client.Task("t", 1, 2)); err != nil {
			b.Fatal(err)
		}
	}
}

// One round trip a thousand tasks; ns/op is for one of them.
func BenchmarkSendAll(b *testing.B) {
	c := purged(b)
	sigs := make([]protocol.Signature, bulk)
	for i := range sigs {
		sigs[i] = client.Task("t", i, 2)
	}
	for i := 0; i < b.N; i += bulk {
		if _, err := c.SendAll(b.Context(), sigs[:min(bulk, b.N-i)]...); err != nil {
			b.Fatal(err)
		}
	}
}
