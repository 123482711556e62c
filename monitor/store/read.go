package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/umbel-go/umbel/monitor/state"
)

const (
	// searchBudget is how long one search looks before it answers what it has.
	searchBudget = 2 * time.Second
	// searchStep is how many tasks a search looks at between two glances at
	// the clock.
	searchStep = 20_000
	// countLimit is how far totals are counted where no kept total serves.
	countLimit = 100_000
)

// errEnough stops a scan that has what it wants.
var errEnough = errors.New("enough")

// Each calls fn for each task that the query selects, in its order, until fn
// returns an error, which it returns. A search in the default order stops after
// 2 s and returns the timestamp it came back to; else that is 0.
func (s *Store) Each(ctx context.Context, broker int64, q Query, fn func(*state.Task) error) (searchedTo float64, err error) {
	st, err := q.compile(broker)
	if err != nil {
		return 0, err
	}
	if st.search != nil {
		fn = page(q, fn)
		if st.order == newestFirst {
			searchedTo, err = s.searchBack(ctx, st, fn)
		} else {
			err = s.tasks(ctx, st, "", nil, fn)
		}
	} else {
		limit := q.Limit
		if limit <= 0 {
			limit = -1 // SQLite: no limit
		}
		err = s.tasks(ctx, st, " LIMIT ? OFFSET ?", []any{limit, max(q.Offset, 0)}, fn)
	}
	if err != nil && !errors.Is(err, errEnough) {
		return searchedTo, fmt.Errorf("query tasks: %w", err)
	}
	return searchedTo, nil
}

// page applies a query's Offset and Limit to what fn is called for.
func page(q Query, fn func(*state.Task) error) func(*state.Task) error {
	seen := 0
	return func(t *state.Task) error {
		seen++
		if seen <= q.Offset {
			return nil
		}
		if err := fn(t); err != nil {
			return err
		}
		if q.Limit > 0 && seen == q.Offset+q.Limit {
			return errEnough
		}
		return nil
	}
}

// tasks runs the statement and calls fn for what also matches its search.
func (s *Store) tasks(ctx context.Context, st *statement, tail string, args []any, fn func(*state.Task) error) error {
	return s.each(ctx, st.sql(columnList)+tail, func(rows *sql.Rows) error {
		t, err := scan(rows)
		if err != nil || !st.matches(t) {
			return err
		}
		return fn(t)
	}, append(st.args[:len(st.args):len(st.args)], args...)...)
}

// searchBack looks step by step from the newest task towards the oldest.
func (s *Store) searchBack(ctx context.Context, st *statement, fn func(*state.Task) error) (float64, error) {
	deadline := time.Now().Add(searchBudget)
	upper := []any{float64(forever), ""}
	for {
		var at float64
		var id any
		const end = `SELECT timestamp, id FROM tasks WHERE broker = ? AND (timestamp, id) < (?, ?)
			ORDER BY timestamp DESC, id DESC LIMIT 1 OFFSET ?`
		err := s.db.Read().QueryRowContext(ctx, end, st.args[0], upper[0], upper[1], searchStep-1).Scan(&at, &id)
		last := errors.Is(err, sql.ErrNoRows)
		if err != nil && !last {
			return 0, err
		}
		step := *st
		step.where, step.args = st.where[:len(st.where):len(st.where)], st.args[:len(st.args):len(st.args)]
		step.and("(timestamp, id) < (?, ?)", upper...)
		if !last {
			step.and("(timestamp, id) >= (?, ?)", at, id)
		}
		if err := s.tasks(ctx, &step, "", nil, fn); err != nil || last {
			return 0, err
		}
		if time.Now().After(deadline) {
			return at, nil
		}
		upper = []any{at, id}
	}
}

// Count is how many tasks the query selects without Limit and Offset, -1 when
// only a long scan could tell.
func (s *Store) Count(ctx context.Context, broker int64, q Query) (int, error) {
	st, err := q.compile(broker)
	if err != nil {
		return 0, err
	}
	if st.search != nil {
		return -1, nil
	}
	if q.ReceivedFrom == 0 && q.ReceivedTo == 0 && q.StartedFrom == 0 && q.StartedTo == 0 {
		return s.counts.sum(broker, q.State, q.Name, q.Worker), nil
	}
	var n int
	query := "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE " + strings.Join(st.where, " AND ") + " LIMIT ?)"
	err = s.db.Read().QueryRowContext(ctx, query, append(st.args, countLimit+1)...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count tasks: %w", err)
	}
	if n > countLimit {
		n = -1
	}
	return n, nil
}

// idStep is how many ids one statement names.
const idStep = 500

// Load returns those of the tasks that are stored.
func (s *Store) Load(ctx context.Context, broker int64, ids []string) ([]*state.Task, error) {
	var out []*state.Task
	err := s.byIDs(ctx, `SELECT `+columnList+` FROM tasks WHERE broker = ? AND id IN (`, broker, ids, func(rows *sql.Rows) error {
		t, err := scan(rows)
		out = append(out, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load tasks: %w", err)
	}
	return out, nil
}

// Children returns the ids of stored tasks that each of the given ones started.
func (s *Store) Children(ctx context.Context, broker int64, ids []string) (map[string][]string, error) {
	out := map[string][]string{}
	const query = `SELECT parent_id, id FROM tasks WHERE broker = ? AND parent_id IN (`
	err := s.byIDs(ctx, query, broker, ids, func(rows *sql.Rows) error {
		var parent, child any
		if err := rows.Scan(&parent, &child); err != nil {
			return err
		}
		p, perr := unpackID(parent)
		c, cerr := unpackID(child)
		out[p] = append(out[p], c)
		return errors.Join(perr, cerr)
	})
	if err != nil {
		return nil, fmt.Errorf("load children: %w", err)
	}
	return out, nil
}

// byIDs runs a query that ends with "IN (" for the ids, some at a time.
func (s *Store) byIDs(ctx context.Context, query string, broker int64, ids []string, fn func(*sql.Rows) error) error {
	for len(ids) > 0 {
		part := ids[:min(len(ids), idStep)]
		ids = ids[len(part):]
		args := make([]any, 0, len(part)+1)
		args = append(args, broker)
		for _, s := range part {
			args = append(args, id(s))
		}
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(part)), ", ")
		if err := s.each(ctx, query+marks+")", fn, args...); err != nil {
			return err
		}
	}
	return nil
}
