package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/dag"
)

// save writes a step: the run, its changed nodes under their guards, attempts,
// outbox and history.
func save(ctx context.Context, tx *sql.Tx, r *dag.Run, step dag.Step, now time.Time) error {
	for _, g := range step.Changed {
		if err := saveNode(ctx, tx, r.ID, g, &r.Nodes[g.Node]); err != nil {
			return err
		}
	}
	for _, p := range step.Publish {
		if err := putAttempt(ctx, tx, r, p, now); err != nil {
			return err
		}
	}
	for _, id := range step.Unpublish {
		if err := withdraw(ctx, tx, id); err != nil {
			return err
		}
	}
	for _, id := range step.Revoke {
		if err := putRevoke(ctx, tx, r.ID, id, now); err != nil {
			return err
		}
	}
	for _, v := range step.Verdicts {
		if err := closeAttempt(ctx, tx, v, now); err != nil {
			return err
		}
	}
	for _, e := range step.Events {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO dag_event (run_id, seq, at, node, kind, text)
			SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5 FROM dag_event WHERE run_id = ?1`,
			r.ID, micros(now), e.Node, e.Kind, e.Text)
		if err != nil {
			return err
		}
	}
	return saveRun(ctx, tx, r, step.Wake)
}

// closeAttempt writes a verdict. A message that the broker took although sending
// it failed must not be sent again then.
func closeAttempt(ctx context.Context, tx *sql.Tx, v dag.Verdict, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE dag_attempt SET state = ?, error = ?, poll_at = NULL, ended_at = ? WHERE task_id = ?`,
		v.State, v.Error, micros(now), v.TaskID)
	if err != nil {
		return err
	}
	return withdraw(ctx, tx, v.TaskID)
}

// withdraw keeps the message of an attempt from leaving any more.
func withdraw(ctx context.Context, tx *sql.Tx, task string) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE dag_outbox SET due_at = NULL, payload = NULL, error = 'withdrawn'
		WHERE dedupe_key = ? AND due_at IS NOT NULL`, publishKey(task))
	return err
}

func saveRun(ctx context.Context, tx *sql.Tx, r *dag.Run, wake time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE dag_run SET state = ?, desired = ?, ret_stat = ?, ret_data = ?, reason = ?, stop_at = ?, wake_at = ?,
			started_at = ?, ended_at = ?, updated_at = ?
		WHERE id = ?`,
		string(r.State), string(r.Desired), r.RetStat, text(r.RetData), r.Reason, micros(r.StopAt), orNull(wake),
		micros(r.Started), micros(r.Ended), micros(r.Updated), r.ID)
	return err
}

// saveNode writes a node if it still is what the step saw.
func saveNode(ctx context.Context, tx *sql.Tx, run int64, g dag.Guard, n *dag.NodeRun) error {
	res, err := tx.ExecContext(ctx, `
		UPDATE dag_node SET state = ?, reason = ?, deps_left = ?, attempt = ?, task_id = ?, due_at = ?, kwargs = ?,
			result = ?, result_ref = ?, ret_stat = ?, ret_data = ?, error = ?, traceback = ?, worker = ?, runtime = ?,
			ready_at = ?, queued_at = ?, started_at = ?, ended_at = ?
		WHERE run_id = ? AND node = ? AND item = ? AND attempt = ? AND state = ?`,
		string(n.State), n.Reason, n.DepsLeft, n.Attempt, n.TaskID, micros(n.DueAt), text(n.Kwargs),
		text(n.Result), n.ResultRef, n.RetStat, text(n.RetData), n.Error, n.Traceback, n.Worker, n.Runtime,
		micros(n.ReadyAt), micros(n.QueuedAt), micros(n.StartedAt), micros(n.EndedAt),
		run, n.Name, n.Item, g.Attempt, string(g.State))
	if err != nil {
		return err
	}
	if changed, err := res.RowsAffected(); err != nil || changed != 1 {
		return fmt.Errorf("node %s, attempt %d, %s: %w", n.Name, g.Attempt, g.State, errConflict)
	}
	return nil
}

// putAttempt writes a new attempt and its message. Both keys are unique, so that
// an attempt cannot be made twice.
func putAttempt(ctx context.Context, tx *sql.Tx, r *dag.Run, p dag.Publish, now time.Time) error {
	n := &r.Nodes[p.Node]
	payload, err := r.Signature(p).MarshalJSON()
	if err != nil {
		return fmt.Errorf("message of node %s: %w", n.Name, err)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO dag_attempt (task_id, run_id, node, item, attempt, state, error, poll_wait, sent_at, ended_at)
		VALUES (?, ?, ?, ?, ?, 'dispatching', '', 0, 0, 0)`, p.TaskID, r.ID, n.Name, n.Item, n.Attempt)
	if err != nil {
		return fmt.Errorf("attempt %d of node %s: %w", n.Attempt, n.Name, err)
	}
	return putMail(ctx, tx, mail{key: publishKey(p.TaskID), kind: mailPublish, run: r.ID, task: p.TaskID, payload: payload}, now)
}

func putRevoke(ctx context.Context, tx *sql.Tx, run int64, task string, now time.Time) error {
	key := fmt.Sprintf("revoke|%s|%d", task, micros(now))
	return putMail(ctx, tx, mail{key: key, kind: mailRevoke, run: run, task: task}, now)
}

func publishKey(task string) string { return "publish|" + task }

type mail struct {
	key, kind, task string
	run             int64
	payload         []byte
}

func putMail(ctx context.Context, tx *sql.Tx, m mail, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO dag_outbox (dedupe_key, kind, run_id, task_id, payload, tries, error, due_at, done_at)
		VALUES (?, ?, ?, ?, ?, 0, '', ?, 0) ON CONFLICT (dedupe_key) DO NOTHING`,
		m.key, m.kind, m.run, m.task, text(m.payload), micros(now))
	return err
}
