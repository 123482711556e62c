// Command shop is the worker of the README.
package main

import (
	"context"
	"log"
	"os/signal"
	"syscall"

	backends "github.com/umbel-go/umbel/backend/dial"
	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
	"github.com/umbel-go/umbel/worker"
)

func total(ctx context.Context, price float64, n int) (float64, error) {
	return price * float64(n), nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b, err := brokers.Open("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	results, err := backends.Open("redis://localhost:6379/0", b)
	if err != nil {
		log.Fatal(err)
	}
	w := worker.New(worker.Config{Broker: b, Backend: results, Queues: []broker.Queue{{Name: "go"}}})
	worker.Must(worker.Func(w, "shop.total", total, worker.Params("price", "n")))
	if err := w.Run(ctx); err != nil { // until ctx ends, then a warm shutdown
		log.Fatal(err)
	}
}
