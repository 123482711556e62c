package app

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/protocol"
)

// Pace of the sample work.
const (
	samplePause    = 700 * time.Millisecond
	sampleRunEvery = 20 * time.Second
)

// sample keeps work flowing on DemoQueue until ctx ends, so that no page of the
// demo is empty.
func sample(ctx context.Context, c *client.Client, e *engine.Engine, workflow string) {
	tick := time.NewTicker(samplePause)
	defer tick.Stop()
	var lastRun time.Time
	for {
		if _, err := c.Send(ctx, sampleTask(), client.Queue(DemoQueue)); err != nil && ctx.Err() == nil {
			slog.Warn("cannot send sample work", "error", err)
		}
		if time.Since(lastRun) >= sampleRunEvery {
			lastRun = time.Now()
			if _, err := e.Start(ctx, engine.Start{Workflow: workflow, Origin: dag.Origin{Operator: "demo"}}); err != nil && ctx.Err() == nil {
				slog.Warn("cannot start a sample workflow", "error", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sampleTask is one of a few kinds of work, most of which succeed.
func sampleTask() protocol.Signature {
	x, y := rand.IntN(100), rand.IntN(100)
	switch n := rand.IntN(20); {
	case n < 9:
		return client.Task("demo.add", x, y)
	case n < 13:
		return client.Task("demo.sleep", float64(rand.IntN(1500))/1000)
	case n < 15:
		return client.With(client.Task("demo.mul", x), client.Kwarg("y", y))
	case n < 17:
		return client.Task("demo.xsum", []int{x, y, x + y})
	case n < 19:
		return client.Task("demo.flaky", 1)
	}
	return client.Task("demo.fail", "sample failure: the cellar is out of celery")
}
