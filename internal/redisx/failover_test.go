package redisx

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"
)

func parse(t *testing.T, url string) Options {
	t.Helper()
	o, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestParseList(t *testing.T) {
	o := parse(t, "redis://u:p@a:1/2; redis://b/2;")
	if len(o.servers.list) != 2 || o.Addr != "a:1" || o.servers.list[1].Addr != "b:6379" || o.Current().Addr != "a:1" {
		t.Errorf("list %+v", o.servers.list)
	}
	for url, want := range map[string]string{
		"redis://a;rediss://:secret@b":           "one scheme: redis:// and rediss:// are mixed",
		"redis://a/1;redis://:secret@b/2":        "one database: 1 and 2 are mixed",
		"redis://a;b:6379":                       "not a Redis URL scheme",
		"redis://a;sentinel://:secret@b":         "sentinel:// is not supported yet",
		"redis://a;redis://:secret@b/x":          "is not a number",
		"":                                       "not a Redis URL scheme",
		";":                                      "is empty",
		"sentinel://:secret@a:26379;sentinel://": "sentinel:// is not supported yet",
	} {
		_, err := ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURL(%q): %v, want %q and no password", url, err, want)
		}
	}
}

// TestDialGoesOn has a dead server at the head of its list, then one that loads.
func TestDialGoesOn(t *testing.T) {
	loading, good := miniredis.RunT(t), miniredis.RunT(t)
	last := good.Addr() // which a closed server forgets
	loading.SetError("LOADING Redis is loading the dataset in memory")
	good.RequireUserAuth("u", "p")
	o := parse(t, "redis://127.0.0.1:1;redis://"+loading.Addr()+";redis://u:p@"+good.Addr())
	c, err := o.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	if now := o.Current(); now.Addr != good.Addr() || now.Username != "u" || o.Addr != "127.0.0.1:1" {
		t.Errorf("in use is %s", now.Redacted())
	}
	good.Close()
	_, err = o.Dial(t.Context())
	if !IsReadOnly(err) || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), last) {
		t.Errorf("dial with no server left: %v, want each of them named", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := o.Current().Addr
	if _, err = o.Dial(ctx); !errors.Is(err, context.Canceled) || o.Current().Addr != before {
		t.Errorf("a caller that gave up moved the list: %v, from %s to %s", err, before, o.Current().Addr)
	}
}

// TestFailoverIsLogged has one line for the way from the first server that
// worked to the next, however many could not be reached in between.
func TestFailoverIsLogged(t *testing.T) {
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	first, last := miniredis.RunT(t), miniredis.RunT(t)
	first.RequireUserAuth("u", "secret")
	o := parse(t, "redis://u:secret@"+first.Addr()+";redis://127.0.0.1:1;redis://u@"+last.Addr())
	dial := func() {
		t.Helper()
		for range 2 {
			c, err := o.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
	}
	dial()
	if log.Len() > 0 {
		t.Errorf("logged while nothing failed: %s", log.String())
	}
	first.SetError("LOADING Redis is loading the dataset in memory")
	dial()
	want := fmt.Sprintf("level=WARN msg=\"Redis failed over\" from=%s to=%s\n", first.Addr(), last.Addr())
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) {
		t.Errorf("logged %q, want one line %q", got, want)
	}
}

// TestReadOnlyMovesAll lets one command meet a demoted primary while others lie
// idle in the pool or wait on it.
func TestReadOnlyMovesAll(t *testing.T) {
	for name, refused := range map[string]func(redis.Conn) error{
		"command": func(c redis.Conn) error { _, err := c.Do("SET", "k", "v"); return err },
		"timeout": func(c redis.Conn) error { _, err := redis.DoWithTimeout(c, time.Second, "SET", "k", "v"); return err },
		"pipeline": func(c redis.Conn) error {
			if err := errors.Join(c.Send("SET", "k", "v"), c.Flush()); err != nil {
				return err
			}
			_, err := c.Receive()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			former, next := miniredis.RunT(t), miniredis.RunT(t)
			o := parse(t, "redis://"+former.Addr()+";redis://"+next.Addr())
			pool := o.Pool()
			defer pool.Close()
			waiting, err := o.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer waiting.Close()
			woken := make(chan error, 1)
			go func() {
				_, err := redis.DoWithTimeout(waiting, time.Minute, "BLPOP", "nothing", 60)
				woken <- err
			}()
			c, idle := pool.Get(), pool.Get()
			if _, err := idle.Do("PING"); err != nil {
				t.Fatal(err)
			}
			idle.Close()
			if _, err := c.Do("PING"); err != nil {
				t.Fatal(err)
			}
			former.SetError("READONLY You can't write against a read only replica.")
			if err := refused(c); !IsReadOnly(err) {
				t.Fatalf("SET: %v, want READONLY", err)
			}
			c.Close()
			select {
			case err := <-woken:
				if !IsConnection(err) {
					t.Errorf("the waiting connection: %v, want it broken", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("the waiting connection still waits")
			}
			for range 3 {
				c := pool.Get()
				if _, err := c.Do("SET", "k", "v"); err != nil {
					t.Errorf("after the failover: %v", err)
				}
				c.Close()
			}
			if !next.Exists("k") {
				t.Error("the next server was not written to")
			}
		})
	}
}

// TestSingleServerDialsAnew has the only server's name lead elsewhere.
func TestSingleServerDialsAnew(t *testing.T) {
	s := miniredis.RunT(t)
	pool := parse(t, "redis://"+s.Addr()).Pool()
	defer pool.Close()
	for range 2 {
		c := pool.Get()
		if _, err := c.Do("PING"); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if n := s.TotalConnectionCount(); n != 1 {
		t.Fatalf("%d connections, want the pool to keep one", n)
	}
	s.SetError("LOADING Redis is loading the dataset in memory")
	c := pool.Get()
	if _, err := c.Do("GET", "k"); !IsReadOnly(err) {
		t.Fatalf("GET: %v, want LOADING", err)
	}
	c.Close()
	s.SetError("")
	c = pool.Get()
	defer c.Close()
	if _, err := c.Do("SET", "k", "v"); err != nil || s.TotalConnectionCount() != 2 {
		t.Errorf("afterwards: %v over %d connections, want a second one", err, s.TotalConnectionCount())
	}
}

// mute answers PING and is silent on everything else. After hang it does not
// answer that either.
type mute struct {
	net.Listener
	mu   sync.Mutex
	hung bool
}

func newMute(t *testing.T) *mute {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{Listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			wg.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return m
}

func (m *mute) serve(c net.Conn) {
	for lines := bufio.NewScanner(c); lines.Scan(); {
		m.mu.Lock()
		answer := lines.Text() == "PING" && !m.hung
		m.mu.Unlock()
		if answer {
			c.Write([]byte("+PONG\r\n"))
		}
	}
}

func (m *mute) hang() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hung = true
}

func TestContextInterrupts(t *testing.T) {
	m := newMute(t)
	o := parse(t, "redis://"+m.Addr().String())
	pool := o.Pool()
	defer pool.Close()
	c := pool.Get()
	if _, err := c.Do("PING"); err != nil { // an idle connection for the second round
		t.Fatal(err)
	}
	c.Close()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		c, err := pool.GetContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Do("GET", "k"); !IsConnection(err) {
			t.Errorf("GET: %v, want a broken connection", err)
		}
		if took := time.Since(start); took < 50*time.Millisecond || took > abortGrace+3*time.Second {
			t.Errorf("interrupted after %v", took)
		}
		c.Close()
		cancel()
	}
	m.hang()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := o.Dial(ctx); err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("dial: %v after %v", err, time.Since(start))
	}
	o.DialTimeout = 100 * time.Millisecond
	if _, err := o.Dial(t.Context()); !IsConnection(err) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("dial a server that hangs: %v", err)
	}
}

// TestContextEndsQuietly gives connections back before their contexts end: they
// must live on.
func TestContextEndsQuietly(t *testing.T) {
	s := miniredis.RunT(t)
	pool := parse(t, "redis://"+s.Addr()).Pool()
	defer pool.Close()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		c, err := pool.GetContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do("SET", "k", "v"); err != nil {
			t.Fatal(err)
		}
		c.Close()
		cancel()
	}
	if n := s.TotalConnectionCount(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}
