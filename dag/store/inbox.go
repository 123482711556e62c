package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/dag"
)

// inboxBatch is how many reports one advance of a run takes.
const inboxBatch = 500

// report is the payload of an inbox row: what an observation knows beside the
// columns.
type report struct {
	At        int64   `json:"at,omitempty"`
	Worker    string  `json:"worker,omitempty"`
	Runtime   float64 `json:"runtime,omitempty"`
	Result    string  `json:"result,omitempty"` // kombu's JSON, which encoding/json may refuse
	ResultRef string  `json:"result_ref,omitempty"`
	ErrorType string  `json:"error_type,omitempty"`
	Error     string  `json:"error,omitempty"`
	Traceback string  `json:"traceback,omitempty"`
}

// putInbox keeps a report about one of our attempts and wakes its run.
func putInbox(ctx context.Context, tx *sql.Tx, o dag.Observation, now time.Time) error {
	payload, err := json.Marshal(report{
		At: micros(o.At), Worker: o.Worker, Runtime: o.Runtime, Result: string(o.Result), ResultRef: o.ResultRef,
		ErrorType: o.ErrorType, Error: o.Error, Traceback: o.Traceback,
	})
	if err != nil {
		return fmt.Errorf("report on task %s: %w", o.TaskID, err)
	}
	res, err := tx.ExecContext(ctx, `
		INSERT INTO dag_inbox (task_id, kind, run_id, payload, seen_at)
		SELECT task_id, ?, run_id, ?, ? FROM dag_attempt WHERE task_id = ?
		ON CONFLICT (task_id, kind) DO NOTHING`, string(o.Kind), string(payload), micros(now), o.TaskID)
	if err != nil {
		return err
	}
	if added, err := res.RowsAffected(); err != nil || added == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE dag_run SET wake_at = ?1
		WHERE id = (SELECT run_id FROM dag_attempt WHERE task_id = ?2) AND (wake_at IS NULL OR wake_at > ?1)`,
		micros(now), o.TaskID)
	return err
}

// drainInbox takes the oldest reports of a run and says whether there are more.
// They are deleted in the transaction that applies them.
func drainInbox(ctx context.Context, tx *sql.Tx, run int64) (seen []dag.Observation, more bool, err error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT i.task_id, i.kind, i.payload, a.node, a.item, a.attempt
		FROM dag_inbox i JOIN dag_attempt a ON a.task_id = i.task_id
		WHERE i.run_id = ? ORDER BY i.seen_at, i.task_id, i.kind LIMIT ?`, run, inboxBatch)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scanReport(rows)
		if err != nil {
			return nil, false, err
		}
		seen = append(seen, o)
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	for _, o := range seen {
		_, err := tx.ExecContext(ctx, `DELETE FROM dag_inbox WHERE task_id = ? AND kind = ?`, o.TaskID, string(o.Kind))
		if err != nil {
			return nil, false, err
		}
	}
	return seen, len(seen) == inboxBatch, nil
}

func scanReport(row scanner) (dag.Observation, error) {
	var o dag.Observation
	var payload string
	if err := row.Scan(&o.TaskID, &o.Kind, &payload, &o.Node, &o.Item, &o.Attempt); err != nil {
		return o, err
	}
	var p report
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		return o, fmt.Errorf("stored report on task %s: %w", o.TaskID, err)
	}
	o.At, o.Worker, o.Runtime, o.ResultRef = timeOf(p.At), p.Worker, p.Runtime, p.ResultRef
	o.ErrorType, o.Error, o.Traceback = p.ErrorType, p.Error, p.Traceback
	if p.Result != "" {
		o.Result = []byte(p.Result)
	}
	return o, nil
}
