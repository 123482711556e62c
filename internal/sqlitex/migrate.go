package sqlitex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ErrNewerSchema means that the file was written by a newer program.
var ErrNewerSchema = errors.New("the database belongs to a newer version of umbel: upgrade umbel, or name another file")

// schemaTable records what was applied. Only Migrate reads and writes it.
const schemaTable = `CREATE TABLE IF NOT EXISTS schema_migrations (
	version    INTEGER PRIMARY KEY,
	name       TEXT NOT NULL,
	applied_at TEXT NOT NULL  -- RFC 3339, UTC
) STRICT`

// Migrate applies the files "<number>_<name>.sql" in the root of files that the
// database does not have yet, in order, each in a transaction of its own. The
// numbers must be 1, 2, 3 and so on. There is no way back: what was released is
// never edited, only followed by another file. Two processes may migrate at
// once; one of them waits.
func Migrate(ctx context.Context, db *DB, files fs.FS) error {
	steps, err := migrations(files)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", db.Path(), err)
	}
	err = db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, schemaTable)
		return err
	})
	for i := 0; err == nil && i < max(1, len(steps)); i++ {
		err = db.Write(ctx, func(tx *sql.Tx) error { return step(ctx, tx, steps, i) })
	}
	if err != nil {
		return fmt.Errorf("migrate %s: %w", db.Path(), err)
	}
	return nil
}

type migration struct {
	version int
	name    string
	text    string
}

// step applies migration i unless the database has it.
func step(ctx context.Context, tx *sql.Tx, steps []migration, i int) error {
	var have int
	const current = `SELECT coalesce(max(version), 0) FROM schema_migrations`
	if err := tx.QueryRowContext(ctx, current).Scan(&have); err != nil {
		return err
	}
	if have > len(steps) {
		return fmt.Errorf("%w (its schema is %d, ours %d)", ErrNewerSchema, have, len(steps))
	}
	if i < have || i >= len(steps) {
		return nil
	}
	m := steps[i]
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)`,
		m.version, m.name, time.Now().UTC().Format(time.RFC3339))
	return err
}

// migrations reads the files in order of their numbers.
func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	out := make([]migration, 0, len(names))
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%s: the name does not begin with a number and an underscore", name)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		out = append(out, migration{version, name, string(text)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].version < out[j].version })
	for i, m := range out {
		if m.version != i+1 {
			return nil, fmt.Errorf("%s: number %d is expected here", m.name, i+1)
		}
	}
	return out, nil
}
