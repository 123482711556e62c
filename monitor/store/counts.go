package store

import (
	"strings"
	"sync"
)

// kind is what tasks are counted by.
type kind struct {
	broker              int64
	state, name, worker string
}

// counts are the kept totals, as of the last commit. It is safe for concurrent
// use.
type counts struct {
	mu sync.Mutex
	n  map[kind]int
}

// add applies the changes of a committed transaction.
func (c *counts) add(delta map[kind]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, d := range delta {
		if c.n[k] += d; c.n[k] == 0 {
			delete(c.n, k)
		}
	}
}

// sum counts the tasks that match; "" matches everything.
func (c *counts) sum(broker int64, state, name, worker string) int {
	total := 0
	c.each(broker, func(k kind, n int) {
		if matches(state, k.state) && matches(name, k.name) && matches(worker, k.worker) {
			total += n
		}
	})
	return total
}

func matches(want, have string) bool { return want == "" || strings.EqualFold(want, have) }

func (c *counts) each(broker int64, fn func(kind, int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range c.n {
		if k.broker == broker {
			fn(k, n)
		}
	}
}
