package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/umbel-go/umbel/protocol"
)

// trimStep is how many tasks one transaction deletes at most, so that trimming
// never holds up a commit for long.
const trimStep = 2000

// deleteOldest deletes tasks of a broker whose last event is before a time, the
// oldest first, and returns the kinds they were counted under. Parameters:
// broker, Unix seconds, how many.
const deleteOldest = `DELETE FROM tasks WHERE rowid IN (
		SELECT rowid FROM tasks WHERE broker = ? AND timestamp < ? ORDER BY timestamp, id LIMIT ?)
	RETURNING state, coalesce(name, ''), coalesce(worker, '')`

// forever is later than every task.
const forever = 1e15

// Trim deletes what retention no longer keeps, one step for each broker, and
// reports whether more is left to delete.
func (s *Store) Trim(ctx context.Context) (more bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	brokers := make([]int64, 0, len(s.brokers))
	for _, id := range s.brokers {
		brokers = append(brokers, id)
	}
	s.mu.Unlock()
	for _, b := range brokers {
		left, err := s.trimBroker(ctx, b)
		if err != nil {
			return false, fmt.Errorf("trim tasks: %w", err)
		}
		more = more || left
	}
	return more, nil
}

func (s *Store) trimBroker(ctx context.Context, broker int64) (more bool, err error) {
	if s.cfg.MaxAge > 0 {
		before := protocol.Seconds(s.cfg.Now().Add(-s.cfg.MaxAge))
		n, err := s.deleteTasks(ctx, broker, before, trimStep)
		if err != nil || n == trimStep {
			return n == trimStep, err
		}
	}
	full, err := s.full(ctx)
	if err != nil {
		return false, err
	}
	if full {
		n, err := s.deleteTasks(ctx, broker, forever, trimStep)
		return n == trimStep, err
	}
	if s.cfg.MaxTasks <= 0 {
		return false, nil
	}
	excess := s.counts.sum(broker, "", "", "") - s.cfg.MaxTasks
	if excess <= 0 {
		return false, nil
	}
	n, err := s.deleteTasks(ctx, broker, forever, min(excess, trimStep))
	return n > 0 && n < excess, err
}

// full reports whether the rows take more than Config.MaxBytes. Pages that
// deleted rows left behind do not count: they are used again.
func (s *Store) full(ctx context.Context) (bool, error) {
	if s.cfg.MaxBytes <= 0 {
		return false, nil
	}
	var bytes int64
	const used = `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`
	if err := s.db.Read().QueryRowContext(ctx, used).Scan(&bytes); err != nil {
		return false, fmt.Errorf("size of the database: %w", err)
	}
	return bytes > s.cfg.MaxBytes, nil
}

func (s *Store) deleteTasks(ctx context.Context, broker int64, before float64, limit int) (int, error) {
	ctx = context.WithoutCancel(ctx)
	delta, n := map[kind]int{}, 0
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, deleteOldest, broker, before, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			k := kind{broker: broker}
			if err := rows.Scan(&k.state, &k.name, &k.worker); err != nil {
				return err
			}
			delta[k]--
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return putCounts(ctx, tx, delta)
	})
	if err != nil {
		return 0, err
	}
	s.counts.add(delta)
	return n, nil
}
