package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// errUnfinished means that a result is not there yet.
var errUnfinished = errors.New("the chord's header is not finished")

// unlockChord is celery.chord_unlock, which Celery sends with a chord when its
// result backend cannot join: it looks at the header's results, again and again
// by retries, and then sends the body with them or fails it.
func (w *Worker) unlockChord(ctx context.Context, t *Task) (any, error) {
	u, err := newUnlock(t)
	if err != nil {
		return nil, err
	}
	if w.cfg.Backend == nil {
		return nil, w.failUnlocked(ctx, t, u, protocol.ChordError("chord_unlock could not be retried: this worker has no result backend"), nil)
	}
	values, failed, err := w.headerResults(ctx, u.header)
	switch {
	case errors.Is(err, backend.ErrUnsupported):
		return nil, w.failUnlocked(ctx, t, u, protocol.ChordError("chord_unlock could not be retried: "+err.Error()), nil)
	case err != nil:
		return nil, w.pollAgain(ctx, t, u, err)
	case failed != nil:
		cause := protocol.DecodeException(failed.Value)
		e := protocol.ChordError(fmt.Sprintf("Dependency %s raised %s", failed.TaskID, cause.Repr()))
		return nil, w.failUnlocked(ctx, t, u, e, cause)
	}
	if _, err := w.apply(ctx, t.Task, u.body, []any{values}, nil); err != nil {
		if lost(err) {
			return nil, w.pollAgain(ctx, t, u, err)
		}
		return nil, w.failUnlocked(ctx, t, u, protocol.ChordError("Callback error: "+err.Error()), nil)
	}
	return nil, nil
}

// unlock is what celery.chord_unlock is called with.
type unlock struct {
	group    string
	body     protocol.Signature
	header   protocol.Tuple
	interval time.Duration // 0: the default of the registration
	retries  int           // at most so many; negative: no bound
}

func newUnlock(t *Task) (unlock, error) {
	u := unlock{retries: -1}
	args, err := parameters(t, "group_id", "callback", "interval", "max_retries", "result")
	if err != nil {
		return u, err
	}
	if u.body, err = signature(t, "callback", args[1]); err != nil {
		return u, err
	}
	var interval *float64
	var retries *int
	for _, p := range []struct {
		raw  protocol.Raw
		into any
	}{{args[0], &u.group}, {args[2], &interval}, {args[3], &retries}} {
		if err := protocol.Unmarshal(p.raw, p.into); err != nil {
			return u, typeError(t, "%v", err)
		}
	}
	if interval != nil {
		u.interval = time.Duration(*interval * float64(time.Second))
	}
	if retries != nil {
		u.retries = *retries
	}
	u.header.Group, u.header.ID = true, u.group
	results, err := protocol.SplitArray(args[4])
	if err != nil {
		return u, typeError(t, "argument 'result': %v", err)
	}
	for _, raw := range results {
		member, err := protocol.DecodeTuple(raw)
		if err != nil {
			return u, typeError(t, "argument 'result': %v", err)
		}
		u.header.Members = append(u.header.Members, member)
	}
	return u, nil
}

// headerResults are the values of a header's members in order, groups as lists,
// or the first failure. It is errUnfinished until all members are ready.
func (w *Worker) headerResults(ctx context.Context, header protocol.Tuple) ([]any, *protocol.Result, error) {
	results := map[string]*protocol.Result{}
	for _, id := range header.Tasks() {
		r, err := w.cfg.Backend.Get(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if !r.Ready() {
			return nil, nil, errUnfinished
		}
		results[id] = r
	}
	for _, id := range header.Tasks() {
		if r := results[id]; r.Status != protocol.StateSuccess {
			return nil, r, nil
		}
	}
	return joined(header, results), nil, nil
}

func joined(group protocol.Tuple, results map[string]*protocol.Result) []any {
	values := make([]any, len(group.Members))
	for i, m := range group.Members {
		if m.Group {
			values[i] = joined(m, results)
		} else {
			values[i] = results[m.ID].Value
		}
	}
	return values
}

// pollAgain retries until the chord's own bound, then fails it: nobody will look
// at it again.
func (w *Worker) pollAgain(ctx context.Context, t *Task, u unlock, why error) error {
	if u.retries >= 0 && t.Retries >= u.retries {
		return w.failUnlocked(ctx, t, u, protocol.ChordError("chord_unlock could not be retried: "+why.Error()), nil)
	}
	again := &RetryError{Err: why, Delay: u.interval}
	// The kind of the exchange is Celery's own note for its retries, which older
	// workers do not take.
	if kwargs := t.KwargsObject().Without("_chord_unlock_exchange_type"); len(kwargs) < len(t.Kwargs) {
		again.Kwargs = kwargs
	}
	return again
}

// failUnlocked fails the body of a chord. The polling itself has done its work.
func (w *Worker) failUnlocked(ctx context.Context, t *Task, u unlock, e, cause *protocol.Exception) error {
	if cause == nil {
		cause = e
	}
	last := &protocol.Task{ID: t.ID, RootID: rootOf(t.Task), Group: u.group, Chord: &u.body}
	return w.failChord(ctx, last, &backend.ChordJoin{Failed: func(context.Context) error { return nil }}, e, cause)
}
