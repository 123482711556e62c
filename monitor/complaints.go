package monitor

import (
	"context"
	"log/slog"
	"time"
)

// complaints keeps a flood of bad input from flooding the log: one line a
// second, with the number of those left out. It is owned by one goroutine.
type complaints struct {
	last    time.Time
	skipped int
}

func (c *complaints) warn(ctx context.Context, now time.Time, text, broker string, err error) {
	if now.Sub(c.last) < time.Second {
		c.skipped++
		return
	}
	slog.WarnContext(ctx, text, "broker", broker, "error", err, "not_shown_before", c.skipped)
	c.last, c.skipped = now, 0
}
