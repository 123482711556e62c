package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/umbel-go/umbel/dag"
)

// Batch is what an engine brings to a Commit.
type Batch struct {
	// Seen are reports by task id; those about tasks that are not ours are
	// dropped.
	Seen []dag.Observation
	// Sent are the ids of outbox messages whose effect has happened.
	Sent []int64
}

// Outcome is what a Commit did.
type Outcome struct {
	Runs  []int64  // that were advanced
	Ended []string // task ids that have a verdict
	Mail  bool     // the outbox has new messages
	More  bool     // other runs are due already
}

// commitBudget is how long one transaction goes on advancing runs; readers never
// wait for it, other writers do.
const commitBudget = 5 * time.Millisecond

// errConflict means that a node was not as the step that was computed for it
// assumed; the transaction is rolled back and the run looked at again.
var errConflict = errors.New("run changed while it was advanced")

// Commit records the batch and advances every run that is due, in one
// transaction. After it returned without an error all of it is on disk; after an
// error none of it is, and the batch may be brought again.
func (s *Store) Commit(ctx context.Context, b Batch, now time.Time) (Outcome, error) {
	var out Outcome
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		out = Outcome{}
		if err := deliver(ctx, tx, b, now); err != nil {
			return err
		}
		return s.advanceDue(ctx, tx, now, &out)
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("advance workflows: %w", err)
	}
	return out, nil
}

// deliver writes the inbox and closes outbox messages.
func deliver(ctx context.Context, tx *sql.Tx, b Batch, now time.Time) error {
	for _, id := range b.Sent {
		var kind, task string
		err := tx.QueryRowContext(ctx, `
			UPDATE dag_outbox SET done_at = ?, due_at = NULL, payload = NULL, error = ''
			WHERE id = ? AND due_at IS NOT NULL RETURNING kind, task_id`, micros(now), id).Scan(&kind, &task)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		if kind != mailPublish {
			continue
		}
		b.Seen = append(b.Seen, dag.Observation{TaskID: task, Kind: dag.SeenPublished, At: now})
		if err := startPolling(ctx, tx, task, now); err != nil {
			return err
		}
	}
	for _, o := range b.Seen {
		if err := putInbox(ctx, tx, o, now); err != nil {
			return err
		}
	}
	return nil
}

// advanceDue advances runs in the order in which they fell due, until none is
// left or the budget is used up. A run that cannot be advanced is rolled back
// alone and looked at again in a minute, so that it stops no other.
func (s *Store) advanceDue(ctx context.Context, tx *sql.Tx, now time.Time, out *Outcome) error {
	begun := time.Now()
	for {
		var id int64
		err := tx.QueryRowContext(ctx,
			`SELECT id FROM dag_run WHERE wake_at <= ? ORDER BY wake_at, id LIMIT 1`, micros(now)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if time.Since(begun) > commitBudget && len(out.Runs) > 0 {
			out.More = true
			return nil
		}
		if _, err := tx.ExecContext(ctx, `SAVEPOINT one_run`); err != nil {
			return err
		}
		if err := s.advanceRun(ctx, tx, id, now, out); err != nil {
			if ctx.Err() != nil {
				return err
			}
			slog.ErrorContext(ctx, "workflow run cannot be advanced, trying again in a minute", "run", id, "error", err)
			if err := setAside(ctx, tx, id, now, err); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `RELEASE one_run`); err != nil {
			return err
		}
		out.Runs = append(out.Runs, id)
	}
}

func setAside(ctx context.Context, tx *sql.Tx, id int64, now time.Time, cause error) error {
	if _, err := tx.ExecContext(ctx, `ROLLBACK TO one_run`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE dag_run SET wake_at = ?, reason = ? WHERE id = ?`,
		micros(now.Add(time.Minute)), "cannot be advanced: "+cause.Error(), id)
	return err
}

func (s *Store) advanceRun(ctx context.Context, tx *sql.Tx, id int64, now time.Time, out *Outcome) error {
	r, err := s.load(ctx, tx, `id = ?`, id)
	if err != nil {
		return err
	}
	seen, more, err := drainInbox(ctx, tx, id)
	if err != nil {
		return err
	}
	step := dag.Advance(r, seen, now)
	if more {
		step.Wake = now
	}
	if err := save(ctx, tx, r, step, now); err != nil {
		return err
	}
	out.Mail = out.Mail || len(step.Publish)+len(step.Revoke) > 0
	for _, v := range step.Verdicts {
		out.Ended = append(out.Ended, v.TaskID)
	}
	return nil
}
