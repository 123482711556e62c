package redis

import (
	"slices"
	"time"

	"github.com/umbel-go/umbel/internal/pause"
)

// readAtOnce bounds how many stored values are held while they are handed on.
const readAtOnce = 64

// read fetches the stored values of freshly subscribed keys, and from time to
// time of all that are still awaited: a push is lost where something writes
// results without publishing them.
func (h *hub) read() {
	ctx := h.b.closing
	poll := time.NewTicker(h.b.cfg.PollInterval)
	defer poll.Stop()
	for {
		select {
		case <-h.wakeup:
		case <-poll.C:
			h.awaited()
		case <-ctx.Done():
			return
		}
		if err := h.refresh(); err != nil && ctx.Err() == nil {
			h.b.cfg.Logger.WarnContext(ctx, "result backend: reading awaited results failed, trying again", "error", err)
			pause.For(ctx, maxBackoff/2)
			signal(h.wakeup)
		}
	}
}

// awaited marks for reading every result that is not known to be ready.
func (h *hub) awaited() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, t := range h.topics {
		for _, s := range t.watches {
			if !s.done.Load() {
				h.stale = append(h.stale, key)
				break
			}
		}
	}
}

// refresh reads all keys marked for it. After an error the rest stays marked.
func (h *hub) refresh() error {
	for {
		keys, before := h.takeStale()
		if len(keys) == 0 {
			return nil
		}
		values, err := h.b.readMany(h.b.closing, keys)
		if err != nil {
			h.mu.Lock()
			h.stale = append(h.stale, keys...)
			h.mu.Unlock()
			return err
		}
		if h.passFence() { // else all is subscribed and read again
			h.deliver(keys, values, before)
		}
	}
}

// takeStale returns some of the keys to read and how many pushes each topic has
// had by now.
func (h *hub) takeStale() (keys []string, before []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.stale)
	h.stale = slices.Compact(h.stale)
	n := min(readAtOnce, len(h.stale))
	for _, key := range h.stale[:n] {
		if t := h.topics[key]; t != nil {
			keys, before = append(keys, key), append(before, t.pushes)
		}
	}
	h.stale = slices.Delete(h.stale, 0, n)
	return keys, before
}

// deliver offers values that were read, after the fence. Where a push has come
// since the read began, the value is dropped: it is older than that push, or the
// same, or its own push follows. Where none has, all pushes to come are newer. So
// no watch ever sees a result go back in time.
func (h *hub) deliver(keys []string, values [][]byte, before []uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, key := range keys {
		t := h.topics[key]
		if t == nil || values[i] == nil || t.pushes != before[i] {
			continue
		}
		for w, s := range t.watches {
			w.offer(s, values[i])
		}
	}
}
