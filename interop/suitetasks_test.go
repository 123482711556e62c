package interop

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// suiteTasks registers the tasks of the conformance suite under both names that
// the Go worker answers to: go.* and both.*. testdata/conformance/app.py holds
// the same for Python.
func suiteTasks(l *ledger) func(*worker.Worker) {
	return func(w *worker.Worker) {
		for _, side := range []string{"go.", "both."} {
			registerPlain(w, side, l)
			registerSteering(w, side)
			registerAware(w, side)
		}
	}
}

// registerPlain adds the tasks that compute.
func registerPlain(w *worker.Worker, side string, l *ledger) {
	worker.Must(worker.Func(w, side+"add", func(_ context.Context, x, y int) (int, error) {
		return x + y, nil
	}, worker.Params("x", "y")))
	worker.Must(worker.Func(w, side+"xsum", func(_ context.Context, numbers []int) (int, error) {
		total := 0
		for _, n := range numbers {
			total += n
		}
		return total, nil
	}, worker.Params("numbers")))
	worker.Must(worker.Raw(w, side+"echo", func(_ context.Context, t *worker.Task) (any, error) {
		if len(t.Args) == 0 {
			return nil, nil
		}
		return t.Args[0], nil
	}))
	worker.Must(worker.Func(w, side+"mark", func(ctx context.Context, i int) (int, error) {
		l.note(worker.FromContext(ctx).ID)
		return i, nil
	}))
	worker.Must(worker.Func(w, side+"side", func(context.Context) (string, error) { return "go", nil }))
	worker.Must(worker.Func(w, side+"randomly", func(context.Context) (int, error) { return rand.IntN(1 << 30), nil }))
	worker.Must(worker.Func(w, side+"sleep", doze))
	worker.Must(worker.Func(w, side+"sleep_late", func(ctx context.Context, seconds float64) (float64, error) {
		l.note(worker.FromContext(ctx).ID)
		return doze(ctx, seconds)
	}, worker.AcksLate(true)))
}

func doze(ctx context.Context, seconds float64) (float64, error) {
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return seconds, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// registerSteering adds the tasks that fail and retry.
func registerSteering(w *worker.Worker, side string) {
	worker.Must(worker.Func(w, side+"raises", func(_ context.Context, module, class string, args ...protocol.Raw) error {
		values := make([]any, len(args))
		for i, a := range args {
			values[i] = a
		}
		return worker.Exception(module, class, values...)
	}))
	worker.Must(worker.Func(w, side+"invents", func(_ context.Context, message string) error {
		return worker.Exception("nobody.has.this", "Homemade", message)
	}))
	again := func(pause time.Duration, text string) error {
		return worker.Retry(worker.Exception("builtins", "ValueError", text), pause)
	}
	worker.Must(worker.Func(w, side+"retry", func(ctx context.Context, times int) (int, error) {
		if done := worker.FromContext(ctx).Retries; done >= times {
			return done, nil
		}
		return 0, again(500*time.Millisecond, "not yet")
	}, worker.MaxRetries(-1)))
	worker.Must(worker.Func(w, side+"exhaust", func(context.Context) error {
		return again(200*time.Millisecond, "used up")
	}, worker.MaxRetries(1)))
}

// registerAware adds the tasks that look at their request.
func registerAware(w *worker.Worker, side string) {
	worker.Must(worker.Func(w, side+"header", func(ctx context.Context, name string) (any, error) {
		value, ok := worker.FromContext(ctx).Headers.Get(name)
		if !ok {
			return nil, errors.New("no such header")
		}
		return value, nil
	}))
	worker.Must(worker.Func(w, side+"stamps", func(ctx context.Context) (any, error) {
		if stamps := worker.FromContext(ctx).Stamps; stamps != nil {
			return stamps, nil
		}
		return protocol.Object{}, nil
	}))
}
