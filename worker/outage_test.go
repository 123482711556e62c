package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// The broker goes away while tasks run and comes back: their outcomes are
// stored, none runs again, and the worker takes what waits.
func TestOutageWhileTasksRun(t *testing.T) {
	server := testenv.RedisServer(t, "--appendonly", "yes")
	bench := newBenchOn(t, server.URL)
	begun, release := make(chan struct{}, 8), make(chan struct{})
	var runs atomic.Int32
	work := func(context.Context) error {
		runs.Add(1)
		begun <- struct{}{}
		<-release
		return nil
	}
	bench.run(worker.Config{Concurrency: 4}, func(w *worker.Worker) {
		worker.Must(worker.Func(w, "late", work, worker.AcksLate(true)))
		worker.Must(worker.Func(w, "early", work))
		worker.Must(worker.Func(w, "after", func(context.Context) (string, error) { return "here", nil }))
	})
	var results []*client.Result
	for _, name := range []string{"late", "late", "early", "early"} {
		results = append(results, bench.send(client.Task(name)))
	}
	for range results {
		<-begun
	}
	server.Stop()
	close(release)
	server.Start()
	for i, res := range results {
		if err := res.Get(bench.ctx, nil); err != nil {
			t.Errorf("task %d: %v", i, err)
		}
	}
	for range 4 { // every slot is free again
		var got string
		if err := bench.send(client.Task("after")).Get(bench.ctx, &got); err != nil || got != "here" {
			t.Errorf("after the outage: %q, %v", got, err)
		}
	}
	testenv.Eventually(t, 20*time.Second, func() error {
		queues, err := bench.client.Broker().Queues(bench.ctx, "celery")
		if err == nil && queues[0].Messages != 0 {
			err = fmt.Errorf("messages are left: %+v", queues[0])
		}
		return err
	})
	if n := runs.Load(); n != 4 {
		t.Errorf("4 tasks ran %d times", n)
	}
}

// An outcome that can never be settled ends as a failure and a dead letter, not
// in a loop.
func TestOutcomeThatCannotBeSettled(t *testing.T) {
	b := newBench(t)
	var runs atomic.Int32
	b.run(worker.Config{}, func(w *worker.Worker) {
		worker.Must(worker.Func(w, "t", func(context.Context) error { runs.Add(1); return nil }, worker.AcksLate(true)))
	})
	broken := protocol.Signature{Task: protocol.TaskChain, SubtaskType: protocol.SubtaskChain} // an empty chain
	res := b.send(client.Task("t"), client.Link(broken))
	if e := b.failure(res); e.Exception.Type != "Exception" {
		t.Errorf("got %v", e)
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("ran %d times", n)
	}
}
