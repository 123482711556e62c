package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"

	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/monitor/state"
)

// Batch is what one transaction stores.
type Batch struct {
	Tasks   []TaskWrite
	Workers []WorkerWrite
	Events  []EventCount
}

// TaskWrite is a task as it is now.
type TaskWrite struct {
	Broker int64
	Task   *state.Task
	// New promises that the store does not have the task, which saves a look.
	New bool
}

// EventCount is how many events of a type came from a sender about tasks of a
// name.
type EventCount struct {
	Broker               int64
	Hostname, Type, Task string
	N                    int64
}

// Empty reports whether there is nothing to store.
func (b *Batch) Empty() bool { return len(b.Tasks)+len(b.Workers)+len(b.Events) == 0 }

// Commit stores a batch in one transaction: all of it or, with an error, nothing.
// Writing the same batch again is safe.
func (s *Store) Commit(ctx context.Context, b *Batch) error {
	// Without a cancellable context the driver spares a goroutine a statement.
	ctx = context.WithoutCancel(ctx)
	s.writing.Lock()
	defer s.writing.Unlock()
	delta := map[kind]int{}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		if err := putTasks(ctx, tx, b.Tasks, delta); err != nil {
			return fmt.Errorf("tasks: %w", err)
		}
		if err := putWorkers(ctx, tx, b.Workers); err != nil {
			return fmt.Errorf("workers: %w", err)
		}
		if err := putEvents(ctx, tx, b.Events); err != nil {
			return fmt.Errorf("event counts: %w", err)
		}
		return putCounts(ctx, tx, delta)
	})
	if err != nil {
		return fmt.Errorf("store a batch of %d tasks: %w", len(b.Tasks), err)
	}
	s.counts.add(delta)
	return nil
}

// upsertTask stores all columns of a task. Parameters: the broker and those of
// values.
var upsertTask = func() string {
	sets := make([]string, 0, len(columns))
	for _, c := range columns[1:] {
		sets = append(sets, c+" = excluded."+c)
	}
	return `INSERT INTO tasks (broker, ` + columnList + `) VALUES (?` + strings.Repeat(", ?", len(columns)) +
		`) ON CONFLICT (broker, id) DO UPDATE SET ` + strings.Join(sets, ", ")
}()

func putTasks(ctx context.Context, tx *sql.Tx, tasks []TaskWrite, delta map[kind]int) error {
	if len(tasks) == 0 {
		return nil
	}
	put, err := tx.PrepareContext(ctx, upsertTask)
	if err != nil {
		return err
	}
	defer put.Close()
	// The kind that a task is counted under until now.
	look, err := tx.PrepareContext(ctx, `SELECT state, coalesce(name, ''), coalesce(worker, '') FROM tasks WHERE broker = ? AND id = ?`)
	if err != nil {
		return err
	}
	defer look.Close()
	for _, w := range tasks {
		old, counted := kind{broker: w.Broker}, false
		if !w.New {
			err := look.QueryRowContext(ctx, w.Broker, id(w.Task.UUID)).Scan(&old.state, &old.name, &old.worker)
			switch err {
			case nil:
				delta[old]--
				counted = true
			case sql.ErrNoRows: // retention took it
			default:
				return err
			}
		}
		_, err := put.ExecContext(ctx, append([]any{w.Broker}, values(w.Task)...)...)
		if sqlitex.IsConstraint(err) { // one bad row must not hold up all others for ever
			slog.ErrorContext(ctx, "task cannot be stored", "id", w.Task.UUID, "error", err)
			if counted {
				delta[old]++
			}
			continue
		}
		if err != nil {
			return err
		}
		delta[kind{w.Broker, w.Task.State, w.Task.Name, w.Task.Worker}]++
	}
	return nil
}

// putCounts moves the kept totals and drops those that became zero.
func putCounts(ctx context.Context, tx *sql.Tx, delta map[kind]int) error {
	const move = `INSERT INTO task_counts (broker, state, name, worker, n) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET n = n + excluded.n`
	const drop = `DELETE FROM task_counts WHERE broker = ? AND state = ? AND name = ? AND worker = ? AND n = 0`
	for k, d := range delta {
		if d == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, move, k.broker, k.state, k.name, k.worker, d); err != nil {
			return fmt.Errorf("counters: %w", err)
		}
		if d > 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, drop, k.broker, k.state, k.name, k.worker); err != nil {
			return fmt.Errorf("counters: %w", err)
		}
	}
	return nil
}

// putEvents stores absolute counts.
func putEvents(ctx context.Context, tx *sql.Tx, events []EventCount) error {
	const put = `INSERT INTO event_counts (broker, hostname, type, task, n) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (broker, hostname, type, task) DO UPDATE SET n = excluded.n`
	for _, e := range events {
		if _, err := tx.ExecContext(ctx, put, e.Broker, e.Hostname, e.Type, e.Task, e.N); err != nil {
			return err
		}
	}
	return nil
}

// EventCounts returns all event counts of a broker in the order they were first
// stored.
func (s *Store) EventCounts(ctx context.Context, broker int64) ([]EventCount, error) {
	var out []EventCount
	const query = `SELECT hostname, type, task, n FROM event_counts WHERE broker = ? ORDER BY seq`
	err := s.each(ctx, query, func(rows *sql.Rows) error {
		e := EventCount{Broker: broker}
		err := rows.Scan(&e.Hostname, &e.Type, &e.Task, &e.N)
		out = append(out, e)
		return err
	}, broker)
	if err != nil {
		return nil, fmt.Errorf("read event counts: %w", err)
	}
	return out, nil
}
