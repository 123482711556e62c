package client

import "sync/atomic"

// Clock is the Lamport clock that events and remote control carry. The zero
// value is ready; it is safe for concurrent use.
type Clock struct{ value atomic.Int64 }

// Forward counts a message that we send and returns its time.
func (c *Clock) Forward() int64 { return c.value.Add(1) }

// Adjust takes note of a time received.
func (c *Clock) Adjust(other int64) {
	for {
		now := c.value.Load()
		if c.value.CompareAndSwap(now, max(now, other)+1) {
			return
		}
	}
}

// Value is the present time.
func (c *Clock) Value() int64 { return c.value.Load() }
