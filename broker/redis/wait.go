package redis

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/internal/redisx"
)

const (
	// maxWaiters bounds the connections spent on waiting; lists beyond are
	// polled.
	maxWaiters = 16
	// waitFor is the timeout of a blocking wait; its answer is overdue, and the
	// connection given up as half-open, when waitSlack more have passed.
	waitFor   = 5 * time.Second
	waitSlack = 3 * time.Second
	// pollEvery is the mean pause between claims where no waiter helps.
	pollEvery = 100 * time.Millisecond
)

// waiter watches one list on a connection of its own. It runs
//
//	BLMOVE list list RIGHT RIGHT timeout
//
// which returns as soon as there is an element and leaves the list as it was:
// nothing is ever taken before it is recorded.
type waiter struct {
	c      *consumer
	key    string
	arm    chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	// useless is set when the server refuses the command.
	useless atomic.Bool
}

// setWaiters makes the waiters fit the queues. Called with c.mu held.
func (c *consumer) setWaiters() {
	want := map[string]bool{}
	if c.open.Err() == nil {
		for _, step := range c.b.keys.steps {
			for _, q := range c.queues {
				if len(want) < maxWaiters {
					want[c.b.keys.list(q.Name, step)] = true
				}
			}
		}
	}
	for key, w := range c.waiters {
		if !want[key] {
			w.cancel()
			delete(c.waiters, key)
		}
	}
	for key := range want {
		if c.waiters[key] == nil {
			w := &waiter{c: c, key: key, arm: make(chan struct{}, 1)}
			w.ctx, w.cancel = context.WithCancel(c.open)
			c.waiters[key] = w
			c.wg.Go(w.loop)
		}
	}
}

// arm starts the waiters and returns how long to wait at most.
func (c *consumer) arm() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	covered := len(c.waiters) == len(c.queues)*len(c.b.keys.steps)
	for _, w := range c.waiters {
		signal(w.arm)
		covered = covered && !w.useless.Load()
	}
	if covered {
		return waitFor
	}
	return pollEvery/2 + rand.N(pollEvery)
}

func (c *consumer) await(ctx context.Context, limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c.wake:
	case <-t.C:
	case <-ctx.Done():
	case <-c.open.Done():
	}
}

func (w *waiter) loop() {
	var conn redis.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for {
		select {
		case <-w.arm:
		case <-w.ctx.Done():
			return
		}
		err := w.wait(&conn)
		if err != nil && conn != nil {
			conn.Close()
			conn = nil
		}
		if unknownCommand(err) {
			slog.WarnContext(w.ctx, "cannot wait for messages, polling instead: BLMOVE needs Redis 6.2", "error", err)
			w.useless.Store(true)
			signal(w.c.wake)
			return
		}
		if err != nil && w.ctx.Err() == nil && !redisx.IsConnection(err) && !redisx.IsReadOnly(err) {
			pauseAfter(w.ctx, err) // out of memory, say: it passes
		}
		// After an error too: the claim that follows finds out what is wrong.
		signal(w.c.wake)
	}
}

// unknownCommand reports whether the server is too old for BLMOVE.
func unknownCommand(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}

// pauseAfter keeps an error that the server repeats from becoming a busy loop.
func pauseAfter(ctx context.Context, err error) {
	slog.WarnContext(ctx, "cannot wait for messages, trying again", "error", err)
	pause.For(ctx, time.Second)
}

// wait returns when the list has an element, on an error, or when the waiter is
// cancelled, which closes the connection under it.
func (w *waiter) wait(conn *redis.Conn) error {
	if *conn == nil {
		fresh, err := w.c.b.opts.Dial(w.ctx)
		if err != nil {
			return err
		}
		*conn = fresh
	}
	held := *conn
	defer context.AfterFunc(w.ctx, func() { held.Close() })()
	for w.ctx.Err() == nil {
		reply, err := redis.DoWithTimeout(held, waitFor+waitSlack, "BLMOVE", w.key, w.key, "RIGHT", "RIGHT", waitFor.Seconds())
		if err != nil || reply != nil {
			return err
		}
	}
	return nil
}
