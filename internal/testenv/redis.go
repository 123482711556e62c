package testenv

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/internal/testenv/server"
)

// claimLife bounds how long a database stays taken when the test that took it
// was killed.
const claimLife = time.Hour

// Redis returns the URL (redis://127.0.0.1:PORT/DB) of an empty numbered
// database that no other test uses, in this process or another. It is emptied
// when the test ends.
//
// The server is shared: pub/sub channels, scripts, CONFIG and FLUSHALL reach
// beyond the database. A test that needs those for itself asks for RedisServer.
func Redis(t testing.TB) string {
	t.Helper()
	url := variable(t, redisVar)
	conn, err := redis.DialURL(url)
	if err != nil {
		t.Fatalf("reach the test Redis: %v", err)
	}
	defer conn.Close()
	db, err := claimDatabase(conn)
	if err != nil {
		t.Fatalf("take a Redis database: %v", err)
	}
	if err := emptyDatabase(conn, db); err != nil {
		t.Fatalf("empty Redis database %d: %v", db, err)
	}
	t.Cleanup(func() {
		if err := releaseDatabase(url, db); err != nil {
			t.Errorf("give back Redis database %d: %v", db, err)
		}
	})
	return fmt.Sprintf("%s/%d", url, db)
}

// claimDatabase counts in database 0, which no test gets: "testenv:count" is a
// counter of claims, "testenv:db:N" a string that exists while N is taken.
func claimDatabase(conn redis.Conn) (int, error) {
	for range server.RedisDatabases {
		n, err := redis.Int(conn.Do("INCR", "testenv:count"))
		if err != nil {
			return 0, fmt.Errorf("count claims: %w", err)
		}
		db := 1 + n%(server.RedisDatabases-1)
		_, err = redis.String(conn.Do("SET", claimKey(db), os.Getpid(), "NX", "EX", int(claimLife.Seconds())))
		if errors.Is(err, redis.ErrNil) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("claim a database: %w", err)
		}
		return db, nil
	}
	return 0, errors.New("every database is taken")
}

func claimKey(db int) string { return fmt.Sprintf("testenv:db:%d", db) }

// emptyDatabase leaves conn in database 0.
func emptyDatabase(conn redis.Conn, db int) error {
	for _, c := range []struct {
		name string
		args []any
	}{{"SELECT", []any{db}}, {"FLUSHDB", nil}, {"SELECT", []any{0}}} {
		if _, err := conn.Do(c.name, c.args...); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func releaseDatabase(url string, db int) error {
	conn, err := redis.DialURL(url)
	if err != nil {
		return fmt.Errorf("reach the test Redis: %w", err)
	}
	defer conn.Close()
	if err := emptyDatabase(conn, db); err != nil {
		return err
	}
	if _, err := conn.Do("DEL", claimKey(db)); err != nil {
		return fmt.Errorf("DEL: %w", err)
	}
	return nil
}
