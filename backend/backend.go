// Package backend is the port through which task results are kept and read. A
// driver writes them so that Python's AsyncResult reads them, and reads what
// Python wrote; package backend/dial turns a URL into a driver.
package backend

import (
	"context"
	"errors"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// Errors that callers choose by.
var (
	// ErrConnection means that the backend could not be reached.
	ErrConnection = errors.New("result backend connection lost")
	// ErrUnsupported means that the backend cannot do this (chords or reading a
	// foreign result on rpc).
	ErrUnsupported = errors.New("not supported by this result backend")
	// ErrClosed means that the backend or the watch was closed.
	ErrClosed = errors.New("result backend closed")
	// ErrTooLarge means that the backend cannot hold a value of this size; trying
	// again is of no use.
	ErrTooLarge = errors.New("result is too large for the result backend")
	// ErrNoGroup means that no GroupResult is saved under the id.
	ErrNoGroup = errors.New("no group result is saved under this id")
)

// DefaultExpires is Celery's result_expires.
const DefaultExpires = 24 * time.Hour

// Backend keeps results. It is safe for concurrent use.
type Backend interface {
	// Put stores results in as few round trips as possible. A stored SUCCESS is
	// never overwritten.
	Put(ctx context.Context, results ...Put) error
	// Get returns what is stored under the id; a result in state PENDING when
	// nothing is.
	Get(ctx context.Context, id string) (*protocol.Result, error)
	// Watch delivers every result written for the ids from now on, and first
	// what is already stored. Ready results may be delivered more than once.
	Watch(ctx context.Context, ids ...string) (Watch, error)
	// Forget deletes the result.
	Forget(ctx context.Context, id string) error
	// ReplyTo is the queue that a client asks results to be sent to, "" for
	// backends that need none.
	ReplyTo() string
	Close() error
}

// Put is one result and where it goes.
type Put struct {
	Result *protocol.Result
	// ReplyTo and CorrelationID come from the task message; rpc only.
	ReplyTo       string
	CorrelationID string
	// Expires is how long it is kept; 0 means as long as the backend is set to,
	// DefaultExpires unless it was told otherwise, negative for ever.
	Expires time.Duration
}

// Watch is a stream of results. Next is for one goroutine, Add for any.
type Watch interface {
	Add(ctx context.Context, ids ...string) error
	Remove(ctx context.Context, ids ...string) error
	Next(ctx context.Context) (*protocol.Result, error)
	Close() error
}

// Grouper is implemented by backends that keep saved GroupResults. Forgetting a
// group's results is Forget for each of Tuple.Tasks.
type Grouper interface {
	// PutGroup saves a GroupResult under the group's id, as GroupResult.save does.
	// A chord whose header has groups in it needs it before its first message: it
	// is then joined by the results of the tuple's members.
	PutGroup(ctx context.Context, group string, tuple protocol.Raw) error
	// GetGroup returns a saved GroupResult, ErrNoGroup when there is none.
	GetGroup(ctx context.Context, group string) (protocol.Tuple, error)
	// DeleteGroup deletes a saved GroupResult, not the results of its members. A
	// missing one is no error.
	DeleteGroup(ctx context.Context, group string) error
}

// Chorder is implemented by backends that can join chords by themselves.
type Chorder interface {
	Grouper
	// StartChord writes the size of a chord and clears what a former run under
	// the same id left. The sender calls it before the first header message:
	// parts that finish while an old claim says "done" would be dropped, and the
	// chord would hang. A Body makes the chord one that OrphanChords can finish.
	StartChord(ctx context.Context, chord protocol.ChordStart) error
	// AddPart records a finished header member. It returns a non-nil ChordJoin
	// to the one caller that must now run the body.
	AddPart(ctx context.Context, part Part) (*ChordJoin, error)
	// OrphanChords returns chords whose parts are all there but whose claim
	// nobody holds any more: the process that had to send the body died. The
	// caller holds the claims of what it gets, also of what comes with an error,
	// and must finish them like its own joins. Any number of processes may call
	// it every few seconds: each orphan is handed to one of them. A call looks at
	// a bounded number of chords, those first that were not looked at for longest,
	// and knows only chords that were started through this port or had a part
	// added through it.
	OrphanChords(ctx context.Context) ([]OrphanChord, error)
	// GrowChord adds to the number of awaited parts (add_to_chord).
	GrowChord(ctx context.Context, group string, by int) error
}

// Part is one finished member of a chord header.
type Part struct {
	Group string
	// Index is the member's group_index; nil when the message has none.
	Index  *int
	Result *protocol.Result
	// Body is the chord's body as the member's message holds it. Its ChordSize
	// is the size of chords started by Celery 5.0 and older.
	Body protocol.Signature
	// RootID is the member's.
	RootID string
}

// OrphanChord is a chord that waits for somebody to finish it.
type OrphanChord struct {
	// Start is what the sender announced. Size counts without GrowChord.
	Start protocol.ChordStart
	Join  *ChordJoin
}

// ChordJoin is the right and duty to finish one chord.
type ChordJoin struct {
	// Parts are the header's results in group_index order.
	Parts []*protocol.Result
	// Extend renews the claim while the body is being published; it reports
	// false when somebody else holds it, and then the body is theirs to send. It
	// is called before the body is sent, and again when that takes long: a claim
	// lasts 6 s at first, and 21 s from each renewal on.
	Extend func(ctx context.Context) (bool, error)
	// Done forgets the parts after the body was published.
	Done func(ctx context.Context) error
	// Failed ends a chord whose body will never run.
	Failed func(ctx context.Context) error
}
