package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// coldKey is the context key of the second signal.
type coldKey struct{}

// WithSignals returns a context that ends at the first SIGINT or SIGTERM: a warm
// stop. The second one asks for a cold stop, in which running tasks are
// interrupted; the third calls exit. stop ends the listening.
func WithSignals(parent context.Context, exit func()) (ctx context.Context, stop func()) {
	cold, interrupt := context.WithCancel(parent)
	ctx, warm := context.WithCancel(context.WithValue(parent, coldKey{}, cold))
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		steps := []func(){warm, interrupt, exit}
		for _, step := range steps {
			select {
			case <-signals:
				step()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		warm()
		interrupt()
	}
}

// cold is closed at the second signal; nil when ctx has no signals.
func cold(ctx context.Context) <-chan struct{} {
	if c, ok := ctx.Value(coldKey{}).(context.Context); ok {
		return c.Done()
	}
	return nil
}
