package amqp

import (
	"context"
	"log/slog"
	"time"
)

const (
	// reparkTimeout bounds one attempt to park what came out too early, and
	// reparkPause is how long such a message waits after a failed attempt.
	reparkTimeout = 15 * time.Second
	reparkPause   = time.Second
	reparkBatch   = 256
)

// holding is a message that waits in this process, unacknowledged.
type holding struct {
	timer *time.Timer
	until time.Time
}

// place puts a parked message where it belongs now: to be claimed, held for the
// rest of its last second, or parked again because it came out of a wide bucket
// or because clocks differ.
func (st *stream) place(d *delivery, until time.Time) {
	rest := until.Sub(st.owner.b.now())
	switch {
	case rest <= 0:
		st.ready(d)
	case rest < holdBelow && st.hold(d, until, rest):
	default:
		select {
		case st.early <- parking{d, until}:
		case <-st.lost:
		}
	}
}

// hold keeps the message for a while and then places it again. It reports false
// when nothing will be claimed from this stream any more.
func (st *stream) hold(d *delivery, until time.Time, wait time.Duration) bool {
	mu := &st.owner.mu
	mu.Lock()
	defer mu.Unlock()
	if st.stopping {
		return false
	}
	st.held[d] = &holding{until: until, timer: time.AfterFunc(wait, func() {
		mu.Lock()
		_, ours := st.held[d]
		delete(st.held, d)
		mu.Unlock()
		if ours {
			st.place(d, until)
		}
	})}
	return true
}

// holdClaimed takes a claimed delivery back for less than a second and offers it
// to Claim as a new one.
func (st *stream) holdClaimed(d *delivery, until time.Time, wait time.Duration) bool {
	again := &delivery{stream: st, raw: d.raw, message: d.message}
	st.owner.mu.Lock()
	st.unsettled++ // settling d counts one off
	st.owner.mu.Unlock()
	if st.hold(again, until, wait) {
		return true
	}
	st.owner.mu.Lock()
	st.unsettled--
	st.owner.mu.Unlock()
	return false
}

// unhold takes everything that is held. The owner's mutex is held, too.
func (st *stream) unhold() []parking {
	held := make([]parking, 0, len(st.held))
	for d, h := range st.held {
		h.timer.Stop()
		held = append(held, parking{d, h.until})
	}
	clear(st.held)
	return held
}

// repark parks early messages again until the channel ends.
func (st *stream) repark() {
	for {
		select {
		case first := <-st.early:
			st.reparkAll(st.owner.b.life, gather(first, st.early))
		case <-st.lost:
			return
		}
	}
}

// gather adds to the first what is there already.
func gather(first parking, more <-chan parking) []parking {
	batch := []parking{first}
	for len(batch) < reparkBatch {
		select {
		case p := <-more:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

func (st *stream) reparkAll(ctx context.Context, batch []parking) {
	ctx, cancel := context.WithTimeout(ctx, reparkTimeout)
	defer cancel()
	err := st.owner.b.park(ctx, batch...)
	if err == nil {
		for _, p := range batch {
			if p.delivery.ack() == nil {
				st.settled(p.delivery)
			}
		}
		return
	}
	if st.isLost() {
		return
	}
	slog.WarnContext(ctx, "messages that are not due could not be parked again, trying once more", "queue", st.queue.Name, "messages", len(batch), "error", err)
	for _, p := range batch {
		if !st.hold(p.delivery, p.until, reparkPause) {
			st.giveBack(p.delivery)
		}
	}
}
