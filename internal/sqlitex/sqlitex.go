// Package sqlitex opens SQLite files the way all of Umbel uses them: write-ahead
// log, one writer handle, a pool of readers that never stop the writer, and
// numbered forward-only migrations.
package sqlitex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
)

// Memory is the path of a database that is gone when it is closed.
const Memory = ":memory:"

// Options tune a database. The zero value is ready.
type Options struct {
	// Synchronous is how far a commit reaches before it returns: "NORMAL"
	// (default: a power cut may lose the last commits, never the file) or
	// "FULL" (every commit is on disk).
	Synchronous string
	// Readers is how many reads may run at once; 0 means twice the CPUs, at
	// least 4.
	Readers int
	// BusyTimeout is how long a statement waits for another process that holds
	// the file; 0 means 5 s.
	BusyTimeout time.Duration
	// CacheSize is each connection's page cache in bytes; 0 means 4 MB.
	CacheSize int
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	path    string
	scratch string // folder of a Memory database, removed by Close
	writer  *sql.DB
	readers *sql.DB
}

// Open opens or creates the file. The folder must exist. A path of Memory keeps
// the data in a private temporary folder, so that reads and writes behave as
// they do on a file.
//
// A file that is no SQLite database or is damaged gives an error for which
// IsCorrupt is true; nothing is changed then.
func Open(path string, opts Options) (*DB, error) {
	db := &DB{path: path}
	if path == Memory {
		dir, err := os.MkdirTemp("", "umbel-db-")
		if err != nil {
			return nil, fmt.Errorf("open database in memory: %w", err)
		}
		db.scratch, db.path = dir, filepath.Join(dir, "memory.db")
		opts.Synchronous = "OFF"
	}
	if err := db.connect(opts); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", db.path, err), db.Close())
	}
	return db, nil
}

func (db *DB) connect(opts Options) error {
	var err error
	if db.writer, err = sql.Open("sqlite3", dsn(db.path, opts, url.Values{"_txlock": {"immediate"}})); err != nil {
		return err
	}
	db.writer.SetMaxOpenConns(1)
	// The writer comes first: it creates the file and its log, which readers
	// may not.
	var version int
	if err = db.writer.QueryRow(`PRAGMA schema_version`).Scan(&version); err != nil {
		return err
	}
	if db.readers, err = sql.Open("sqlite3", dsn(db.path, opts, url.Values{"_query_only": {"1"}})); err != nil {
		return err
	}
	n := opts.Readers
	if n == 0 {
		n = max(4, 2*runtime.NumCPU())
	}
	db.readers.SetMaxOpenConns(n)
	db.readers.SetMaxIdleConns(n)
	return nil
}

// dsn is the data source name of mattn/go-sqlite3 for a file.
func dsn(path string, opts Options, extra url.Values) string {
	if opts.Synchronous == "" {
		opts.Synchronous = "NORMAL"
	}
	if opts.BusyTimeout == 0 {
		opts.BusyTimeout = 5 * time.Second
	}
	if opts.CacheSize == 0 {
		opts.CacheSize = 4 << 20
	}
	extra.Set("_journal_mode", "WAL")
	extra.Set("_synchronous", opts.Synchronous)
	extra.Set("_foreign_keys", "1")
	extra.Set("_busy_timeout", fmt.Sprint(opts.BusyTimeout.Milliseconds()))
	extra.Set("_cache_size", fmt.Sprint(-opts.CacheSize/1024)) // negative is KiB
	name := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + name + "?" + extra.Encode()
}

// Path is the file, also for a database in memory.
func (db *DB) Path() string { return db.path }

// Write runs fn in the only write transaction that the process has open on the
// file (BEGIN IMMEDIATE): other Writes wait, reads do not. It commits when fn
// returns nil and rolls back otherwise, returning fn's error. fn must use tx
// alone: a nested Write would wait for itself.
func (db *DB) Write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() // without effect after Commit
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// Read is the pool of readers. Each statement sees the last commit; several
// statements see the same one within a transaction. Writing through it fails.
func (db *DB) Read() *sql.DB { return db.readers }

// Writer is the one connection that writes, for statements prepared once and
// used in Write through tx.StmtContext.
func (db *DB) Writer() *sql.DB { return db.writer }

// Checkpoint moves the write-ahead log into the file and empties it.
func (db *DB) Checkpoint(ctx context.Context) error {
	if _, err := db.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		return fmt.Errorf("checkpoint %s: %w", db.path, err)
	}
	return nil
}

// Size is the size of the file and its log in bytes.
func (db *DB) Size() int64 {
	var n int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(db.path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Close waits for statements under way and closes the file. The last handle to
// go empties the write-ahead log.
func (db *DB) Close() error {
	var errs []error
	for _, h := range []*sql.DB{db.readers, db.writer} {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	if db.scratch != "" {
		errs = append(errs, os.RemoveAll(db.scratch))
	}
	return errors.Join(errs...)
}

// IsCorrupt reports whether err says that the file is damaged or is no SQLite
// database.
func IsCorrupt(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB)
}

// IsFull reports whether err says that there is no room to write.
func IsFull(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrFull || e.Code == sqlite3.ErrIoErr)
}

// IsConstraint reports whether err says that a row breaks the schema's rules:
// writing it again will fail again.
func IsConstraint(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrConstraint
}

// SetAside renames a file that is closed, with its log, to path.corrupt-TIME
// and returns the new name, so that a new one can be started in its place.
func SetAside(path string, now time.Time) (string, error) {
	aside := path + ".corrupt-" + now.UTC().Format("20060102T150405")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(path+suffix, aside+suffix)
		if err != nil && (suffix == "" || !errors.Is(err, os.ErrNotExist)) {
			return "", fmt.Errorf("set %s aside: %w", path+suffix, err)
		}
	}
	return aside, nil
}
