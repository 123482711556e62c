package broker

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// DeadLetters is the dead-letter place of every queue: what could not be run is
// kept there for an operator. It is safe for concurrent use.
type DeadLetters interface {
	// ListDead returns up to max dead letters of the queue, the newest first.
	ListDead(ctx context.Context, queue string, max int) ([]DeadLetter, error)
	// ReplayDead puts letters back on the queue, as they were before they died,
	// and returns how many there were. Without ids it takes all; an unknown id
	// counts for nothing. A letter that holds no message (Message.Malformed) stays:
	// any worker would choke on it again; the error then names it and matches
	// ErrNotReplayed, beside the number of those that were replayed.
	ReplayDead(ctx context.Context, queue string, ids ...string) (int, error)
	// DropDead deletes letters and returns how many there were. Without ids it
	// takes all.
	DropDead(ctx context.Context, queue string, ids ...string) (int, error)
}

// ErrNotReplayed is about dead letters that could not be put back and stay.
var ErrNotReplayed = errors.New("dead letter not replayed")

// DeadLetter is one kept message.
type DeadLetter struct {
	// ID names the letter among those of its queue.
	ID     string
	Queue  string
	Reason string
	Time   time.Time
	// Message is as it was consumed.
	Message *protocol.Message
}
