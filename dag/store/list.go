package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/umbel-go/umbel/dag"
)

// Filter chooses runs. The zero value is the newest 50 of all.
type Filter struct {
	Workflow string
	State    dag.RunState
	Before   int64 // ids below, for paging; 0 for the newest
	Limit    int   // at most 500; 0 means 50
}

// Summary is a run in a list.
type Summary struct {
	ID       int64
	UUID     string
	Workflow string
	Version  int
	State    dag.RunState
	RetStat  string
	Reason   string
	Created  time.Time
	Started  time.Time
	Ended    time.Time
	dag.Origin
	Total, Done, Failed, Running int // nodes
}

// Duration is how long the run took or has taken by now.
func (s Summary) Duration(now time.Time) time.Duration {
	if !s.Ended.IsZero() {
		now = s.Ended
	}
	return max(0, now.Sub(s.Started))
}

// Runs lists runs, newest first.
func (s *Store) Runs(ctx context.Context, f Filter) ([]Summary, error) {
	where, args := []string{"1"}, []any{}
	add := func(clause string, arg any) { where, args = append(where, clause), append(args, arg) }
	if f.Workflow != "" {
		add("def_name = ?", f.Workflow)
	}
	if f.State != "" {
		add("state = ?", string(f.State))
	}
	if f.Before > 0 {
		add("id < ?", f.Before)
	}
	if f.Limit <= 0 {
		f.Limit = 50
	}
	args = append(args, min(f.Limit, 500))
	// The counts touch only the nodes of the runs on the page.
	rows, err := s.db.Read().QueryContext(ctx, `
		WITH page AS (SELECT * FROM dag_run WHERE `+strings.Join(where, " AND ")+` ORDER BY id DESC LIMIT ?)
		SELECT p.id, p.uuid, p.def_name, p.def_version, p.state, p.ret_stat, p.reason, p.created_at, p.started_at,
			p.ended_at, coalesce(p.name, ''), p.namespace, p.reqid, p.client, p.operator, p.tags, p.source,
			count(*), sum(n.state IN ('succeeded', 'skipped')),
			sum(n.state IN ('failed', 'upstream_failed')), sum(n.state IN ('dispatching', 'queued', 'running'))
		FROM page p JOIN dag_node n ON n.run_id = p.id GROUP BY p.id ORDER BY p.id DESC`, args...)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	defer rows.Close()
	out := []Summary{}
	for rows.Next() {
		var r Summary
		var created, started, ended int64
		if err := rows.Scan(&r.ID, &r.UUID, &r.Workflow, &r.Version, &r.State, &r.RetStat, &r.Reason,
			&created, &started, &ended, &r.Name, &r.Namespace, &r.ReqID, &r.Client, &r.Operator, &r.Tags, &r.Source,
			&r.Total, &r.Done, &r.Failed, &r.Running); err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		r.Created, r.Started, r.Ended = timeOf(created), timeOf(started), timeOf(ended)
		out = append(out, r)
	}
	return out, rows.Err()
}

// HistoryEvent is one line of a run's history.
type HistoryEvent struct {
	Seq int
	At  time.Time
	dag.Event
}

// History lists a run's last events, oldest first; limit 0 means 500.
func (s *Store) History(ctx context.Context, run int64, limit int) ([]HistoryEvent, error) {
	if limit <= 0 {
		limit = 500
	}
	rows, err := s.db.Read().QueryContext(ctx, `
		SELECT seq, at, node, kind, text FROM (
			SELECT * FROM dag_event WHERE run_id = ? ORDER BY seq DESC LIMIT ?
		) ORDER BY seq`, run, limit)
	if err != nil {
		return nil, fmt.Errorf("history of run %d: %w", run, err)
	}
	defer rows.Close()
	out := []HistoryEvent{}
	for rows.Next() {
		var e HistoryEvent
		var at int64
		if err := rows.Scan(&e.Seq, &at, &e.Node, &e.Kind, &e.Text); err != nil {
			return nil, fmt.Errorf("history of run %d: %w", run, err)
		}
		e.At = timeOf(at)
		out = append(out, e)
	}
	return out, rows.Err()
}
