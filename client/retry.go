package client

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/pause"
)

// Retry is how often a publish is tried again when the broker cannot be reached
// or refuses writes (Celery task_publish_retry_policy). The zero value tries
// once.
type Retry struct {
	// Max is the number of tries after the first.
	Max int
	// Start is the pause before the second try. Every further pause is longer
	// by Step, up to Limit; 0 means no limit.
	Start, Step, Limit time.Duration
}

// celeryRetry is Celery's default: three more tries, after 0, 0.2 and 0.4 s.
var celeryRetry = Retry{Max: 3, Step: 200 * time.Millisecond, Limit: time.Second}

func (r *Retry) do(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		passing := errors.Is(err, broker.ErrConnection) || errors.Is(err, broker.ErrReadOnly) || errors.Is(err, broker.ErrRefused)
		if err == nil || !passing || try >= r.Max {
			return err
		}
		delay := r.Start + time.Duration(try)*r.Step
		if r.Limit > 0 {
			delay = min(delay, r.Limit)
		}
		if !pause.For(ctx, delay) {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}
