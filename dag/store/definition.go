package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/dag"
)

// Version is a stored version of a definition.
type Version struct {
	Definition *dag.Definition
	Version    int
	Checksum   string
	Source     string
	Created    time.Time
}

// Define stores the definition, which must be valid, unless this content is
// stored already, and makes it the one that new runs take.
func (s *Store) Define(ctx context.Context, def *dag.Definition, source string, now time.Time) (Version, error) {
	sum, err := def.Checksum()
	if err != nil {
		return Version{}, err
	}
	spec, err := json.Marshal(def)
	if err != nil {
		return Version{}, fmt.Errorf("define workflow %s: %w", def.Name, err)
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		// A content that is known only becomes the newest again.
		_, err := tx.ExecContext(ctx, `
			INSERT INTO dag_def (name, version, checksum, spec, source, created_at, defined_at)
			SELECT ?1, coalesce(max(version), 0) + 1, ?2, ?3, ?4, ?5,
			       max(?5, coalesce(max(defined_at), 0) + 1)
			FROM dag_def WHERE name = ?1
			ON CONFLICT (name, checksum) DO UPDATE SET defined_at = excluded.defined_at`,
			def.Name, sum, string(spec), source, micros(now))
		return err
	})
	if err != nil {
		return Version{}, fmt.Errorf("define workflow %s: %w", def.Name, err)
	}
	return s.Definition(ctx, def.Name)
}

const versionColumns = `name, version, checksum, spec, source, created_at`

// Definition returns the version of a workflow that a new run takes.
func (s *Store) Definition(ctx context.Context, name string) (Version, error) {
	row := s.db.Read().QueryRowContext(ctx, `SELECT `+versionColumns+`
		FROM dag_def WHERE name = ? ORDER BY defined_at DESC, version DESC LIMIT 1`, name)
	v, err := scanVersion(row)
	if errors.Is(err, sql.ErrNoRows) {
		return Version{}, fmt.Errorf("workflow %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return Version{}, fmt.Errorf("read workflow %s: %w", name, err)
	}
	return v, nil
}

// Definitions lists the newest version of every workflow by name.
func (s *Store) Definitions(ctx context.Context) ([]Version, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT `+versionColumns+` FROM dag_def d
		WHERE version = (SELECT version FROM dag_def WHERE name = d.name
		                 ORDER BY defined_at DESC, version DESC LIMIT 1)
		ORDER BY name LIMIT 1000`)
	if err != nil {
		return nil, fmt.Errorf("list workflows: %w", err)
	}
	defer rows.Close()
	out := []Version{}
	for rows.Next() {
		v, err := scanVersion(rows)
		if err != nil {
			return nil, fmt.Errorf("list workflows: %w", err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

type scanner interface{ Scan(dest ...any) error }

func scanVersion(row scanner) (Version, error) {
	var v Version
	var name, spec string
	var created int64
	if err := row.Scan(&name, &v.Version, &v.Checksum, &spec, &v.Source, &created); err != nil {
		return Version{}, err
	}
	v.Created, v.Definition = timeOf(created), new(dag.Definition)
	if err := json.Unmarshal([]byte(spec), v.Definition); err != nil {
		return Version{}, fmt.Errorf("stored workflow %s version %d is damaged: %w", name, v.Version, err)
	}
	return v, nil
}

// maxParsed bounds the parsed versions in memory.
const maxParsed = 1000

// querier is what reads: the pool of readers or the write transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns one exact version, parsed once.
func (s *Store) version(ctx context.Context, q querier, name string, version int) (*dag.Definition, error) {
	key := defKey{name, version}
	s.mu.Lock()
	def := s.defs[key]
	s.mu.Unlock()
	if def != nil {
		return def, nil
	}
	v, err := scanVersion(q.QueryRowContext(ctx,
		`SELECT `+versionColumns+` FROM dag_def WHERE name = ? AND version = ?`, name, version))
	if err != nil {
		return nil, fmt.Errorf("read workflow %s version %d: %w", name, version, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.defs) >= maxParsed {
		clear(s.defs)
	}
	s.defs[key] = v.Definition
	return v.Definition, nil
}
