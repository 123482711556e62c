// Package store keeps workflows in SQLite: the only authority on definitions,
// runs and what is still to be sent. It does no network I/O, so that none can
// happen inside a transaction.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/internal/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors that callers choose by.
var (
	// ErrNotFound means that no such definition or run exists.
	ErrNotFound = errors.New("not found")
	// ErrNameTaken means that another run has the name.
	ErrNameTaken = errors.New("run name is taken")
)

// Store is an open workflow database. It is safe for concurrent use; one process
// at a time may run an engine on a file.
type Store struct {
	db *sqlitex.DB

	mu   sync.Mutex
	defs map[defKey]*dag.Definition // parsed versions, which never change
}

type defKey struct {
	name    string
	version int
}

// Open opens or creates the file, every commit of which is on disk when it
// returns, and brings its tables up to date. sqlitex.Memory is a database that is
// gone when it is closed.
func Open(ctx context.Context, path string) (*Store, error) {
	db, err := sqlitex.Open(path, sqlitex.Options{Synchronous: "FULL"})
	if err != nil {
		return nil, unreadable(path, err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = sqlitex.Migrate(ctx, db, files)
	}
	if err != nil {
		return nil, errors.Join(unreadable(path, err), db.Close())
	}
	return &Store{db: db, defs: map[defKey]*dag.Definition{}}, nil
}

// unreadable says what to do about a file that is no database of ours: it holds
// the only record of what runs, so it is never replaced unasked.
func unreadable(path string, err error) error {
	if sqlitex.IsCorrupt(err) {
		return fmt.Errorf("open workflow store: %w; restore %s from a backup, or move it away to begin without any workflow", err, path)
	}
	return fmt.Errorf("open workflow store: %w", err)
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// micros is the form of a time in the tables.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// orNull keeps a row out of an index on times.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// text is the form of optional JSON in the tables.
func text(raw []byte) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}
