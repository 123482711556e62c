// Package store keeps what the monitor knows in SQLite: tasks, workers and
// counters. Tasks live here, not in memory; every total is kept, never counted
// by a scan.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/umbel-go/umbel/internal/sqlitex"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says where the store is and how much it keeps. Zero values keep
// everything.
type Config struct {
	Path     string // a file, or sqlitex.Memory
	MaxTasks int    // per broker; the oldest by last event go first
	MaxAge   time.Duration
	MaxBytes int64 // of all brokers together
	Now      func() time.Time
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	writing sync.Mutex // one Commit or Trim at a time, so that kept totals follow the table
	db      *sqlitex.DB
	cfg     Config
	counts  counts
	mu      sync.Mutex
	brokers map[string]int64
}

// Open opens or creates the store. A damaged file is moved aside and a new one
// started, with a warning that names both; a file of another program (a Flower
// shelve file) is left alone and PATH.umbel.db is used.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Path = besideForeign(ctx, cfg.Path)
	s, err := open(ctx, cfg)
	if err != nil && sqlitex.IsCorrupt(err) && cfg.Path != sqlitex.Memory {
		aside, moveErr := sqlitex.SetAside(cfg.Path, cfg.Now())
		if moveErr != nil {
			return nil, errors.Join(err, moveErr)
		}
		slog.WarnContext(ctx, "monitor database is damaged; it was moved aside and a new one is started",
			"file", cfg.Path, "moved_to", aside, "error", err)
		s, err = open(ctx, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("open monitor store: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Path != sqlitex.Memory {
		if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o755); err != nil {
			return nil, fmt.Errorf("folder of the database: %w", err)
		}
	}
	db, err := sqlitex.Open(cfg.Path, sqlitex.Options{CacheSize: 8 << 20})
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, cfg: cfg, counts: counts{n: map[kind]int{}}, brokers: map[string]int64{}}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Store) load(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := sqlitex.Migrate(ctx, s.db, files); err != nil {
		return err
	}
	err = s.each(ctx, `SELECT id, name FROM brokers`, func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		s.brokers[name] = id
		return err
	})
	if err != nil {
		return fmt.Errorf("read brokers: %w", err)
	}
	err = s.each(ctx, `SELECT broker, state, name, worker, n FROM task_counts`, func(rows *sql.Rows) error {
		var k kind
		var n int
		err := rows.Scan(&k.broker, &k.state, &k.name, &k.worker, &n)
		s.counts.n[k] = n
		return err
	})
	if err != nil {
		return fmt.Errorf("read counters: %w", err)
	}
	return nil
}

// each runs a query and calls fn for every row.
func (s *Store) each(ctx context.Context, query string, fn func(*sql.Rows) error, args ...any) error {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sqliteMagic begins every SQLite file.
const sqliteMagic = "SQLite format 3\x00"

// shelveMagic are beginnings of what Python's shelve writes: GNU dbm (both byte
// orders, two sizes) and the text index of dbm.dumb. Berkeley DB has its mark
// at byte 12.
func isShelve(head []byte) bool {
	for _, magic := range []string{"\xce\x9a\x57\x13", "\xcd\x9a\x57\x13", "\xcf\x9a\x57\x13", "\x13\x57\x9a\xce", "\x13\x57\x9a\xcd", "\x13\x57\x9a\xcf", "'events'"} {
		if strings.HasPrefix(string(head), magic) {
			return true
		}
	}
	return len(head) >= 16 && (string(head[12:16]) == "\x61\x15\x06\x00" || string(head[12:16]) == "\x00\x06\x15\x61")
}

// besideForeign is path, or another name where path holds Flower's state file.
func besideForeign(ctx context.Context, path string) string {
	f, err := os.Open(path)
	if err != nil {
		return path // absent, or an error that opening it as a database tells better
	}
	defer f.Close()
	head := make([]byte, len(sqliteMagic))
	n, _ := io.ReadFull(f, head)
	if !isShelve(head[:n]) {
		return path
	}
	slog.WarnContext(ctx, "the database path holds a state file of Flower; it is left alone",
		"file", path, "used_instead", path+".umbel.db")
	return path + ".umbel.db"
}

// Broker returns the number of a broker, which it is given when first seen.
func (s *Store) Broker(ctx context.Context, name string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.brokers[name]; ok {
		return id, nil
	}
	var id int64
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO brokers (name) VALUES (?) RETURNING id`, name).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("store broker %s: %w", name, err)
	}
	s.brokers[name] = id
	return id, nil
}

// TaskTypes are the names of a broker's stored tasks, sorted.
func (s *Store) TaskTypes(broker int64) []string {
	seen := map[string]bool{}
	s.counts.each(broker, func(k kind, _ int) { seen[k.name] = k.name != "" })
	out := make([]string, 0, len(seen))
	for name, named := range seen {
		if named {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// States is how many of a broker's tasks are in each state.
func (s *Store) States(broker int64) map[string]int {
	out := map[string]int{}
	s.counts.each(broker, func(k kind, n int) { out[k.state] += n })
	return out
}

// Path is the file; Size is its size in bytes.
func (s *Store) Path() string { return s.db.Path() }

// Size is the size of the file and its log in bytes.
func (s *Store) Size() int64 { return s.db.Size() }

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }
