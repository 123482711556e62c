package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/dag"
)

// Times between two polls of one attempt.
const (
	firstPoll = time.Second
	lastPoll  = 15 * time.Second
)

// Pending is an attempt that is out.
type Pending struct {
	TaskID  string
	State   dag.NodeState // of its node
	Worker  string
	Waiting time.Duration // the pause before this poll
}

// startPolling makes a published attempt due for its first poll.
func startPolling(ctx context.Context, tx *sql.Tx, task string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE dag_attempt SET state = 'out', sent_at = ?, poll_at = ?, poll_wait = ?
		WHERE task_id = ? AND state = 'dispatching'`,
		micros(now), micros(now.Add(firstPoll)), firstPoll.Microseconds(), task)
	return err
}

// DuePolls lists attempts whose result is to be asked for.
func (s *Store) DuePolls(ctx context.Context, now time.Time, limit int) ([]Pending, error) {
	return s.pending(ctx, `a.poll_at <= ? ORDER BY a.poll_at LIMIT ?`, micros(now), limit)
}

// InFlight lists every attempt without a verdict, for an engine that starts.
func (s *Store) InFlight(ctx context.Context) ([]Pending, error) {
	return s.pending(ctx, `a.poll_at IS NOT NULL`)
}

func (s *Store) pending(ctx context.Context, where string, args ...any) ([]Pending, error) {
	rows, err := s.db.Read().QueryContext(ctx, `
		SELECT a.task_id, n.state, n.worker, a.poll_wait FROM dag_attempt a
		JOIN dag_node n ON n.run_id = a.run_id AND n.node = a.node AND n.item = a.item WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list tasks in flight: %w", err)
	}
	defer rows.Close()
	var out []Pending
	for rows.Next() {
		var p Pending
		var wait int64
		if err := rows.Scan(&p.TaskID, &p.State, &p.Worker, &wait); err != nil {
			return nil, fmt.Errorf("list tasks in flight: %w", err)
		}
		p.Waiting = time.Duration(wait) * time.Microsecond
		out = append(out, p)
	}
	return out, rows.Err()
}

// Polled sets the next poll of attempts that had no verdict yet: after twice the
// last pause, at most 15 s.
func (s *Store) Polled(ctx context.Context, polled []Pending, now time.Time) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, p := range polled {
			wait := min(max(2*p.Waiting, firstPoll), lastPoll)
			if _, err := tx.ExecContext(ctx, `
				UPDATE dag_attempt SET poll_at = ?, poll_wait = ? WHERE task_id = ? AND poll_at IS NOT NULL`,
				micros(now.Add(wait)), wait.Microseconds(), p.TaskID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note polls: %w", err)
	}
	return nil
}
