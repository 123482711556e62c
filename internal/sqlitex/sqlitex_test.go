package sqlitex

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func files(texts ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i, text := range texts {
		out[string(rune('1'+i))+"_step.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestMigrateForwardOnly(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a?b#c%.db")
	db := open(t, path)
	one, two := `CREATE TABLE a (x)`, `CREATE TABLE b (y); INSERT INTO b VALUES (1)`
	for _, set := range []fstest.MapFS{files(one), files(one, two), files(one, two)} {
		if err := Migrate(ctx, db, set); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := db.Read().QueryRow(`SELECT count(*) FROM b`).Scan(&n); err != nil || n != 1 {
		t.Fatalf("rows of b = %d, %v", n, err)
	}
	if err := Migrate(ctx, db, files(one)); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("older program: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("file name was not taken literally: %v", err)
	}
}

func TestMigrateRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		set  fstest.MapFS
		want string
	}{
		"gap":       {fstest.MapFS{"2_x.sql": {}}, "number 1 is expected"},
		"no number": {fstest.MapFS{"x.sql": {}}, "does not begin with a number"},
		"bad SQL":   {files(`CREATE TABLE a (x)`, `CREATE NONSENSE`), "2_step.sql"},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, Memory)
			if err := Migrate(context.Background(), db, tc.set); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestReadersSeeCommitsAndCannotWrite(t *testing.T) {
	ctx := context.Background()
	db := open(t, Memory)
	if err := Migrate(ctx, db, files(`CREATE TABLE a (x)`)); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO a VALUES (1)`); err != nil {
			return err
		}
		var n int
		if err := db.Read().QueryRow(`SELECT count(*) FROM a`).Scan(&n); err != nil || n != 0 {
			t.Errorf("a reader waits for or sees an open transaction: %d, %v", n, err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("err = %v", err)
	}
	if _, err := db.Read().Exec(`INSERT INTO a VALUES (2)`); err == nil {
		t.Error("a reader could write")
	}
	var n int
	if err := db.Read().QueryRow(`SELECT count(*) FROM a`).Scan(&n); err != nil || n != 0 {
		t.Errorf("rows after a rollback: %d, %v", n, err)
	}
}

func TestMemoryLeavesNothing(t *testing.T) {
	db := open(t, Memory)
	path := db.Path()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s remains: %v", path, err)
	}
}

func TestCorruptFileIsToldAndSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !IsCorrupt(err) {
		t.Fatalf("err = %v", err)
	}
	aside, err := SetAside(path, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Error(err)
	}
	open(t, path)
}
