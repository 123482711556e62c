package broker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/protocol"
)

// Follow subscribes and calls handle for every message until ctx ends,
// subscribing again with a growing pause (up to 5 s) whenever the connection is
// lost. connected, which may be nil, is called after each successful
// subscription and with the error after each loss, so that the owner can show a
// gap. Follow returns ctx's cause, or the first error that is not about the
// connection.
func Follow(ctx context.Context, b Broker, opts SubscribeOptions, connected func(error), handle func(*protocol.Message)) error {
	if connected == nil {
		connected = func(error) {}
	}
	var retry Backoff
	for {
		err := followOnce(ctx, b, opts, func() { retry.Reset(); connected(nil) }, handle)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, ErrConnection) && !errors.Is(err, ErrReadOnly) {
			return err
		}
		connected(err)
		slog.WarnContext(ctx, "subscription lost, trying again", "exchange", opts.Exchange, "error", err)
		if !retry.Wait(ctx) {
			return context.Cause(ctx)
		}
	}
}

func followOnce(ctx context.Context, b Broker, opts SubscribeOptions, up func(), handle func(*protocol.Message)) error {
	sub, err := b.Subscribe(ctx, opts)
	if err != nil {
		return err
	}
	defer sub.Close()
	up()
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		handle(m)
	}
}

// Backoff is the pause between attempts to reach a broker: 100 ms, doubled up to
// 5 s. The zero value is ready. It is not safe for concurrent use.
type Backoff struct{ next time.Duration }

// Reset makes the next pause the shortest one.
func (b *Backoff) Reset() { b.next = 0 }

// Wait pauses and reports whether ctx is still alive.
func (b *Backoff) Wait(ctx context.Context) bool {
	b.next = min(max(2*b.next, 100*time.Millisecond), 5*time.Second)
	return pause.For(ctx, b.next)
}
