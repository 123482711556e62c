package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/broker/embedded"
)

const (
	// brokerStop bounds the end of the embedded broker; then it is killed.
	brokerStop = 1500 * time.Millisecond
	// endPatience is how long the services may take to end before the broker is
	// taken for the reason. They need two seconds and a half when tasks have to
	// be interrupted.
	endPatience = 3500 * time.Millisecond
)

var errBrokerEnded = errors.New("the embedded broker ended by itself; its log is in the data folder under broker/; start again, its work is kept there")

// besideBroker runs the services beside the embedded broker. When the broker
// ends by itself they end too, rather than going on with nothing to talk to.
// When they are to end and the broker does not answer, it is killed, so that
// they do not wait for it, and interrupt ends the wait for running tasks.
func besideBroker(ctx context.Context, s *embedded.Server, interrupt func(), run func(context.Context) error) error {
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.Done():
			interrupt()
			lost(errBrokerEnded)
		case <-ctx.Done():
			if !letsGo(s, ended) {
				interrupt()
			}
		}
	}()
	err := run(ctx)
	close(ended)
	<-watched
	if errors.Is(context.Cause(ctx), errBrokerEnded) {
		err = errors.Join(errBrokerEnded, err)
	}
	return err
}

// letsGo kills a broker that keeps the services from ending, and reports whether
// there was no need to.
func letsGo(s *embedded.Server, ended <-chan struct{}) bool {
	ping, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.Ping(ping) == nil {
		patience := time.NewTimer(endPatience)
		defer patience.Stop()
		select {
		case <-ended:
			return true
		case <-patience.C:
		}
	}
	slog.Warn("the embedded broker does not answer, killing it")
	cancel()
	if err := s.Stop(ping); err != nil {
		slog.Warn("kill the embedded broker", "error", err)
	}
	return false
}

func stopBroker(ctx context.Context, s *embedded.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerStop)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		slog.Warn("stop the embedded broker", "error", err)
	}
}
