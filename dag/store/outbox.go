package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// Kinds of outbox messages.
const (
	mailPublish = "publish"
	mailRevoke  = "revoke"
)

// Mail is one thing to do outside.
type Mail struct {
	ID     int64
	TaskID string
	Tries  int
	// Publish is the task to send; nil asks for TaskID to be revoked.
	Publish *protocol.Signature
}

// Outbox lists what is due, in the order in which it was decided.
func (s *Store) Outbox(ctx context.Context, now time.Time, limit int) ([]Mail, error) {
	rows, err := s.db.Read().QueryContext(ctx, `
		SELECT id, kind, task_id, tries, coalesce(payload, '') FROM dag_outbox
		WHERE due_at <= ? ORDER BY id LIMIT ?`, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	defer rows.Close()
	var out []Mail
	for rows.Next() {
		var m Mail
		var kind, payload string
		if err := rows.Scan(&m.ID, &kind, &m.TaskID, &m.Tries, &payload); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		if kind == mailPublish {
			sig, err := protocol.DecodeSignature([]byte(payload))
			if err != nil {
				return nil, fmt.Errorf("read outbox: message %d: %w", m.ID, err)
			}
			m.Publish = &sig
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// Unsent puts messages off because of cause, which the pages show as the reason
// of their nodes. They are tried again after 100 ms, doubled up to 15 s.
func (s *Store) Unsent(ctx context.Context, mails []Mail, cause error, now time.Time) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, m := range mails {
			due := now.Add(min(100*time.Millisecond<<min(m.Tries, 10), 15*time.Second))
			if _, err := tx.ExecContext(ctx, `
				UPDATE dag_outbox SET tries = tries + 1, error = ?, due_at = ? WHERE id = ? AND due_at IS NOT NULL`,
				cause.Error(), micros(due), m.ID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `
				UPDATE dag_node SET reason = ? WHERE task_id = ? AND state = 'dispatching'
				AND run_id = (SELECT run_id FROM dag_outbox WHERE id = ?)`,
				"cannot be sent: "+cause.Error(), m.TaskID, m.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put messages off: %w", err)
	}
	return nil
}

// Next returns when the earliest run, message or poll is due, zero when nothing
// waits for a time.
func (s *Store) Next(ctx context.Context) (runs, mail, polls time.Time, err error) {
	var r, m, p sql.NullInt64
	err = s.db.Read().QueryRowContext(ctx, `
		SELECT (SELECT min(wake_at) FROM dag_run WHERE wake_at IS NOT NULL),
		       (SELECT min(due_at) FROM dag_outbox WHERE due_at IS NOT NULL),
		       (SELECT min(poll_at) FROM dag_attempt WHERE poll_at IS NOT NULL)`).Scan(&r, &m, &p)
	if err != nil {
		return runs, mail, polls, fmt.Errorf("look for what is due: %w", err)
	}
	return timeOf(r.Int64), timeOf(m.Int64), timeOf(p.Int64), nil
}
