package amqp

import (
	"context"
	"fmt"
	"log/slog"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// blockage is a time in which RabbitMQ reads nothing from a connection that
// publishes, because it is short of memory or disk.
type blockage struct {
	reason string
	over   chan struct{}
}

// followBlocking ends with the connection, which closes the channel.
func (s *session) followBlocking(changes <-chan amqp091.Blocking) {
	for c := range changes {
		if c.Active {
			slog.Warn("RabbitMQ takes no messages now; publishing waits", "reason", c.Reason, "address", s.where)
		} else {
			slog.Info("RabbitMQ takes messages again", "address", s.where)
		}
		s.setBlocked(c)
	}
	s.setBlocked(amqp091.Blocking{})
}

func (s *session) setBlocked(c amqp091.Blocking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blocked != nil {
		close(s.blocked.over)
		s.blocked = nil
	}
	if c.Active {
		s.blocked = &blockage{c.Reason, make(chan struct{})}
	}
}

func (s *session) blockedNow() *blockage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

// unblocked waits until RabbitMQ takes messages: what is written before that
// fills the socket and then stops even heartbeats.
func (s *session) unblocked(ctx context.Context) error {
	for b := s.blockedNow(); b != nil; b = s.blockedNow() {
		select {
		case <-b.over:
		case <-ctx.Done():
			return fmt.Errorf("RabbitMQ at %s takes no messages now (%s): %w", s.where, b.reason, context.Cause(ctx))
		}
	}
	return nil
}
