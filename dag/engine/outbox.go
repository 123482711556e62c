package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// mailBatch is how many messages leave in one round trip.
const mailBatch = 100

// outboxLoop sends what the store says must leave, in order. It goes on only when
// the store knows what has left, so that nothing leaves twice unless the process
// dies in between.
func (e *Engine) outboxLoop(ctx context.Context) {
	for {
		sent, err := e.sendMail(ctx)
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "workflow tasks could not be sent, trying again", "error", err)
		}
		if len(sent) > 0 && !e.noteSent(ctx, sent) || len(sent) == 0 && !e.awaitMail(ctx) {
			return
		}
	}
}

// noteSent tells the store what has left; false means that ctx ended first.
func (e *Engine) noteSent(ctx context.Context, ids []int64) bool {
	var pause broker.Backoff
	for {
		_, err := e.commit(ctx, store.Batch{Sent: ids})
		if err == nil {
			nudge(e.wake) // others may be due
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		slog.ErrorContext(ctx, "workflow store does not take changes", "error", err)
		if !pause.Wait(ctx) {
			return false
		}
	}
}

// awaitMail sleeps until a message is due.
func (e *Engine) awaitMail(ctx context.Context) bool {
	_, mail, _, err := e.store.Next(ctx)
	if err != nil && ctx.Err() == nil {
		slog.ErrorContext(ctx, "workflow store cannot be read", "error", err)
	}
	timer := time.NewTimer(e.until(mail))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-e.post:
	}
	return true
}

// sendMail sends one batch and returns the ids of what has left. Listening for
// the results begins before the tasks are sent, so that none is missed.
func (e *Engine) sendMail(ctx context.Context) ([]int64, error) {
	mails, err := e.store.Outbox(ctx, e.cfg.Now(), mailBatch)
	if err != nil || len(mails) == 0 {
		return nil, err
	}
	var publish, revoke []store.Mail
	for _, m := range mails {
		if m.Publish != nil {
			publish = append(publish, m)
		} else {
			revoke = append(revoke, m)
		}
	}
	// A revoke that was decided after a publication must not overtake it.
	published, failed := e.publishAll(ctx, publish)
	revoked, failedRevoke := e.revokeAll(ctx, revoke)
	return append(published, revoked...), errors.Join(failed, failedRevoke)
}

// publishAll sends tasks together and, when that fails for another reason than
// the connection, one by one, so that a bad one holds up no other.
func (e *Engine) publishAll(ctx context.Context, mails []store.Mail) ([]int64, error) {
	if len(mails) == 0 {
		return nil, nil
	}
	e.expect(ctx, mails)
	err := e.publish(ctx, mails)
	if err == nil {
		return idsOf(mails), nil
	}
	if len(mails) > 1 && !errors.Is(err, broker.ErrConnection) && ctx.Err() == nil {
		var sent []int64
		var errs []error
		for _, m := range mails {
			left, err := e.publishAll(ctx, []store.Mail{m})
			sent, errs = append(sent, left...), append(errs, err)
		}
		return sent, errors.Join(errs...)
	}
	return nil, errors.Join(err, e.putOff(ctx, mails, err))
}

func (e *Engine) publish(ctx context.Context, mails []store.Mail) error {
	sigs := make([]protocol.Signature, len(mails))
	for i, m := range mails {
		sigs[i] = *m.Publish
	}
	return e.cfg.Sender.Publish(ctx, sigs...)
}

func (e *Engine) revokeAll(ctx context.Context, mails []store.Mail) ([]int64, error) {
	if len(mails) == 0 {
		return nil, nil
	}
	if e.cfg.Revoker == nil {
		return idsOf(mails), nil // nobody to tell; the run waits for what is out
	}
	ids := make([]string, len(mails))
	for i, m := range mails {
		ids[i] = m.TaskID
	}
	if err := e.cfg.Revoker.Revoke(ctx, ids...); err != nil {
		return nil, errors.Join(err, e.putOff(ctx, mails, err))
	}
	return idsOf(mails), nil
}

func (e *Engine) putOff(ctx context.Context, mails []store.Mail, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	return e.store.Unsent(ctx, mails, cause, e.cfg.Now())
}

func idsOf(mails []store.Mail) []int64 {
	ids := make([]int64, len(mails))
	for i, m := range mails {
		ids[i] = m.ID
	}
	return ids
}
