package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/umbel-go/umbel/dag"
)

// Create writes a new run and fills in its ids. It matches ErrNameTaken when
// another run has the run's name.
func (s *Store) Create(ctx context.Context, r *dag.Run) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		if err := insertRun(ctx, tx, r); err != nil {
			return err
		}
		for i := range r.Nodes {
			if err := insertNode(ctx, tx, r.ID, &r.Nodes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	var constraint sqlite3.Error
	if errors.As(err, &constraint) && constraint.ExtendedCode == sqlite3.ErrConstraintUnique && r.Name != "" {
		return fmt.Errorf("create run %s: %w", r.Name, ErrNameTaken)
	}
	if err != nil {
		return fmt.Errorf("create run of workflow %s: %w", r.Def.Name, err)
	}
	return nil
}

func insertRun(ctx context.Context, tx *sql.Tx, r *dag.Run) error {
	var name any
	if r.Name != "" {
		name = r.Name
	}
	res, err := tx.ExecContext(ctx, `
		INSERT INTO dag_run (uuid, def_name, def_version, name, namespace, reqid, client, operator, tags, source,
			inputs, state, desired, epoch, ret_stat, ret_data, reason, timeout, stop_at, wake_at,
			created_at, started_at, ended_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, 0, ?)`,
		r.UUID, r.Def.Name, r.Version, name, r.Namespace, r.ReqID, r.Client, r.Operator, r.Tags, r.Source,
		string(r.Inputs), string(r.State), string(r.Desired), r.Epoch, r.RetStat, text(r.RetData), r.Reason,
		r.Timeout.Microseconds(), micros(r.Created), micros(r.Created), micros(r.Started), micros(r.Updated))
	if err != nil {
		return err
	}
	r.ID, err = res.LastInsertId()
	return err
}

func insertNode(ctx context.Context, tx *sql.Tx, run int64, n *dag.NodeRun) error {
	res, err := tx.ExecContext(ctx, `
		INSERT INTO dag_node (run_id, node, item, state, reason, deps_left, attempt, task_id, due_at,
			result_ref, ret_stat, error, traceback, worker, runtime, ready_at, queued_at, started_at, ended_at)
		VALUES (?, ?, ?, ?, ?, ?, 0, '', 0, '', ?, '', '', '', 0, 0, 0, 0, 0)`,
		run, n.Name, n.Item, string(n.State), n.Reason, n.DepsLeft, n.RetStat)
	if err != nil {
		return err
	}
	n.ID, err = res.LastInsertId()
	return err
}

const runColumns = `id, uuid, def_name, def_version, coalesce(name, ''), namespace, reqid, client, operator, tags,
	source, inputs, state, desired, epoch, ret_stat, ret_data, reason, timeout, stop_at,
	created_at, started_at, ended_at, updated_at`

// scanRun reads runColumns; the definition and the nodes are not filled in.
func scanRun(row scanner) (r *dag.Run, defName string, err error) {
	r = &dag.Run{}
	var inputs string
	var retData sql.NullString
	var timeout, stop, created, started, ended, updated int64
	err = row.Scan(&r.ID, &r.UUID, &defName, &r.Version, &r.Name, &r.Namespace, &r.ReqID, &r.Client, &r.Operator,
		&r.Tags, &r.Source, &inputs, &r.State, &r.Desired, &r.Epoch, &r.RetStat, &retData, &r.Reason,
		&timeout, &stop, &created, &started, &ended, &updated)
	r.Inputs, r.RetData = []byte(inputs), bytesOf(retData)
	r.Timeout, r.StopAt = time.Duration(timeout)*time.Microsecond, timeOf(stop)
	r.Created, r.Started, r.Ended, r.Updated = timeOf(created), timeOf(started), timeOf(ended), timeOf(updated)
	return r, defName, err
}

func bytesOf(s sql.NullString) []byte {
	if !s.Valid {
		return nil
	}
	return []byte(s.String)
}

// Run reads a run with its definition and nodes.
func (s *Store) Run(ctx context.Context, id int64) (*dag.Run, error) {
	return s.oneRun(ctx, `id = ?`, id)
}

// RunByUUID reads a run by its uuid, which is the root_id of its tasks.
func (s *Store) RunByUUID(ctx context.Context, uuid string) (*dag.Run, error) {
	return s.oneRun(ctx, `uuid = ?`, uuid)
}

// RunByName reads a run by the name that its creator gave it.
func (s *Store) RunByName(ctx context.Context, name string) (*dag.Run, error) {
	return s.oneRun(ctx, `name = ?`, name)
}

func (s *Store) oneRun(ctx context.Context, where string, arg any) (*dag.Run, error) {
	// A read transaction gives one state of the run, whatever is committed
	// between the statements.
	tx, err := s.db.Read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read run %v: %w", arg, err)
	}
	defer tx.Rollback()
	r, err := s.load(ctx, tx, where, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("run %v: %w", arg, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read run %v: %w", arg, err)
	}
	return r, nil
}

func (s *Store) load(ctx context.Context, q querier, where string, arg any) (*dag.Run, error) {
	r, name, err := scanRun(q.QueryRowContext(ctx, `SELECT `+runColumns+` FROM dag_run WHERE `+where, arg))
	if err != nil {
		return nil, err
	}
	if r.Def, err = s.version(ctx, q, name, r.Version); err != nil {
		return nil, err
	}
	if r.Nodes, err = loadNodes(ctx, q, r.ID); err != nil {
		return nil, err
	}
	if len(r.Nodes) != len(r.Def.Nodes) {
		return nil, fmt.Errorf("run %d has %d node rows, its definition %d nodes", r.ID, len(r.Nodes), len(r.Def.Nodes))
	}
	return r, nil
}

func loadNodes(ctx context.Context, q querier, run int64) ([]dag.NodeRun, error) {
	rows, err := q.QueryContext(ctx, `
		SELECT id, node, item, state, reason, deps_left, attempt, task_id, due_at, kwargs, result, result_ref,
			ret_stat, ret_data, error, traceback, worker, runtime, ready_at, queued_at, started_at, ended_at
		FROM dag_node WHERE run_id = ? ORDER BY id`, run)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []dag.NodeRun
	for rows.Next() {
		var n dag.NodeRun
		var kwargs, result, retData sql.NullString
		var due, ready, queued, started, ended int64
		if err := rows.Scan(&n.ID, &n.Name, &n.Item, &n.State, &n.Reason, &n.DepsLeft, &n.Attempt, &n.TaskID, &due,
			&kwargs, &result, &n.ResultRef, &n.RetStat, &retData, &n.Error, &n.Traceback, &n.Worker, &n.Runtime,
			&ready, &queued, &started, &ended); err != nil {
			return nil, err
		}
		n.DueAt, n.Kwargs, n.Result, n.RetData = timeOf(due), bytesOf(kwargs), bytesOf(result), bytesOf(retData)
		n.ReadyAt, n.QueuedAt, n.StartedAt, n.EndedAt = timeOf(ready), timeOf(queued), timeOf(started), timeOf(ended)
		out = append(out, n)
	}
	return out, rows.Err()
}

// Cancel asks for a run to be stopped and reports whether it was still going.
func (s *Store) Cancel(ctx context.Context, id int64, reason string, now time.Time) (bool, error) {
	var asked bool
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE dag_run SET desired = ?, reason = ?, wake_at = ?, updated_at = ?
			WHERE id = ? AND desired = ? AND state IN (?, ?)`,
			string(dag.DesiredCancel), reason, micros(now), micros(now),
			id, string(dag.DesiredRun), string(dag.RunPending), string(dag.RunRunning))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		asked = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cancel run %d: %w", id, err)
	}
	return asked, nil
}
