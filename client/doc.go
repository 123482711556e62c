// Package client is what any producer uses: send a task, wait for its result,
// compose tasks, ask and command workers. Its messages are Celery's own, so the
// worker may be written in Python or Go.
//
//	b, err := dial.Open("redis://localhost:6379/0")      // package broker/dial
//	r, err := results.Open("redis://localhost:6379/0", b) // package backend/dial
//	c := client.New(client.Config{Broker: b, Backend: r})
//
//	res, err := c.Send(ctx, client.Task("tasks.add", 2, 3), client.Countdown(time.Second))
//	var sum int
//	err = res.Get(ctx, &sum)
//
// SendAll sends thousands of tasks in one round trip, GetAll waits for all their
// results with one watch.
//
// A Client is safe for concurrent use. It owns neither broker nor backend: close
// them yourself, after it.
package client
