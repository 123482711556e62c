package app

import (
	"context"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/worker"
	"github.com/umbel-go/umbel/worker/builtin"
)

// DemoQueue is where sample work goes, apart from everybody else's.
const DemoQueue = "umbel-demo"

// WorkerConfig configures the stock worker.
type WorkerConfig struct {
	Queues       []string
	Concurrency  int
	Name         string
	TaskEvents   bool
	Demo         bool
	DrainTimeout time.Duration
}

// RunWorker runs the stock worker until ctx ends.
func RunWorker(ctx context.Context, on Connection, c WorkerConfig) error {
	conn, err := on.open()
	if err != nil {
		return err
	}
	defer conn.close()
	w, err := newWorker(conn, c)
	if err != nil {
		return err
	}
	return runWorker(ctx, w)
}

// runWorker runs a worker until ctx ends, and coldly from the second signal on.
func runWorker(ctx context.Context, w *worker.Worker) error {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-cold(ctx):
			w.Interrupt()
		case <-ended:
		}
	}()
	return w.Run(ctx)
}

func newWorker(conn *connection, c WorkerConfig) (*worker.Worker, error) {
	names := c.Queues
	if len(names) == 0 {
		names = []string{client.DefaultQueue}
		if c.Demo {
			names = append(names, DemoQueue)
		}
	}
	queues := make([]broker.Queue, len(names))
	for i, n := range names {
		queues[i] = broker.Queue{Name: n}
	}
	w := worker.New(worker.Config{
		Broker: conn.broker, Backend: conn.backend, Queues: queues, Concurrency: c.Concurrency,
		Name: c.Name, TaskEvents: c.TaskEvents, DrainTimeout: c.DrainTimeout,
	})
	if c.Demo {
		if err := builtin.RegisterDemo(w); err != nil {
			return nil, fmt.Errorf("register the demo tasks: %w", err)
		}
	}
	return w, nil
}
