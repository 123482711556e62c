package redisx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		url, network, addr, user, password string
		db                                 int
		tls                                bool
		redacted                           string
	}{
		{"redis://", "tcp", "localhost:6379", "", "", 0, false, "redis://localhost:6379/0"},
		{"redis://h", "tcp", "h:6379", "", "", 0, false, "redis://h:6379/0"},
		{"redis://h:1/", "tcp", "h:1", "", "", 0, false, "redis://h:1/0"},
		{"redis://:p%40ss@h:1/3", "tcp", "h:1", "", "p@ss", 3, false, "redis://:**@h:1/3"},
		{"redis://u:p@[::1]:1/3", "tcp", "[::1]:1", "u", "p", 3, false, "redis://u:**@[::1]:1/3"},
		{"redis://u@h", "tcp", "h:6379", "u", "", 0, false, "redis://u@h:6379/0"},
		{"redis://h?db=4", "tcp", "h:6379", "", "", 4, false, "redis://h:6379/4"},
		{"rediss://h/1?ssl_cert_reqs=CERT_NONE", "tcp", "h:6379", "", "", 1, true, "rediss://h:6379/1"},
		{"redis+socket:///run/r.sock", "unix", "/run/r.sock", "", "", 0, false, "redis+socket:///run/r.sock?virtual_host=0"},
		{"redis+socket://u:p@/r.sock?virtual_host=/7", "unix", "/r.sock", "u", "p", 7, false, "redis+socket://u:**@/r.sock?virtual_host=7"},
	} {
		o, err := ParseURL(c.url)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", c.url, err)
			continue
		}
		if o.Network != c.network || o.Addr != c.addr || o.Username != c.user || o.Password != c.password || o.DB != c.db || (o.TLS != nil) != c.tls {
			t.Errorf("ParseURL(%q) = %+v", c.url, o)
		}
		if got := o.Redacted(); got != c.redacted {
			t.Errorf("redacted %q, want %q", got, c.redacted)
		}
	}
}

func TestParseURLErrors(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"redis://:secret@h:port":                   "cannot be read",
		"redis://:se%zzcret@h":                     "cannot be read",
		"redis://:secret@h/db":                     "is not a number",
		"redis://:secret@h/-1":                     "is not a number",
		"sentinel://:secret@h:26379;sentinel://i":  "sentinel:// is not supported yet",
		"http://:secret@h":                         "not a Redis URL scheme (known: redis, rediss, redis+socket)",
		"redis+socket://":                          "names no socket",
		"rediss://:secret@h?ssl_cert_reqs=maybe":   "ssl_cert_reqs",
		"rediss://:secret@h?ssl_ca_certs=/nowhere": "ssl_ca_certs",
		"rediss://:secret@h?ssl_ca_certs=" + empty: "no certificate in",
		"rediss://:secret@h?ssl_certfile=" + empty: "ssl_certfile",
	} {
		_, err := ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "cret@") {
			t.Errorf("ParseURL(%q): %v, want %q and no password", url, err, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err                  error
		connection, readOnly bool
	}{
		{nil, false, false},
		{io.EOF, true, false},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), true, false},
		{net.ErrClosed, true, false},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true, false},
		{errors.New("redigo: closed"), true, false},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true, false},
		{&net.OpError{Op: "dial", Err: context.Canceled}, false, false},
		{redis.Error("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"), false, true},
		{redis.Error("NOREPLICAS Not enough good replicas to write."), false, true},
		{redis.Error("MOVED 866 10.0.0.1:6379"), false, true},
		{redis.ErrNil, false, false},
		{context.Canceled, false, false},
		{context.DeadlineExceeded, false, false},
		{redis.Error("ERR wrong number of arguments"), false, false},
		{redis.Error("ERR max number of clients reached"), true, false},
		{redis.Error("READONLY You can't write against a read only replica."), false, true},
		{redis.Error("ERR Error running script (call to f_1): @user_script: 1: -READONLY You can't write"), false, true},
		{redis.Error("LOADING Redis is loading the dataset in memory"), false, true},
		{fmt.Errorf("x: %w", redis.Error("MASTERDOWN Link with MASTER is down")), false, true},
		{redis.Error("OOM command not allowed"), false, false},
	} {
		if IsConnection(c.err) != c.connection || IsReadOnly(c.err) != c.readOnly {
			t.Errorf("%v: connection %v, read-only %v", c.err, IsConnection(c.err), IsReadOnly(c.err))
		}
	}
}

func TestDialExplains(t *testing.T) {
	s := miniredis.RunT(t)
	s.RequireAuth("right")
	for url, want := range map[string]string{
		"redis://:wrong@" + s.Addr(): "refuses the login (check user and password",
		"redis://127.0.0.1:1":        "cannot reach Redis at 127.0.0.1:1 (is it running",
		"redis+socket:///nowhere":    "cannot reach Redis at /nowhere",
	} {
		o, err := ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = o.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("dial %s: %v, want %q", url, err, want)
		}
	}
}

// TestPoolAfterRestart fills a pool, restarts the server, and counts errors.
func TestPoolAfterRestart(t *testing.T) {
	s := miniredis.RunT(t)
	o, err := ParseURL("redis://" + s.Addr() + "/2")
	if err != nil {
		t.Fatal(err)
	}
	pool := o.Pool()
	defer pool.Close()
	var conns []redis.Conn
	for range 8 {
		c := pool.Get()
		if _, err := redis.DoWithTimeout(c, o.WithDefaults().Timeout, "SET", "k", "v"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for range 20 {
		c := pool.Get()
		if _, err := c.Do("GET", "k"); err != nil {
			failed++
		}
		c.Close()
	}
	if failed > 1 {
		t.Errorf("%d errors after one restart, want at most 1", failed)
	}
}
