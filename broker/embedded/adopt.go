package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/internal/redisx"
)

// dyingFor is how long a server whose parent was killed may need to end.
const dyingFor = 300 * time.Millisecond

// adopt returns the live server on our folder, nil when there is none.
func adopt(ctx context.Context, dir, addr string) (*Server, error) {
	if pid, other := pidOf(dir); other != "" && other != addr && lives(ctx, dir, other) {
		return nil, fmt.Errorf("embedded broker: a server on %s already runs at %s (process %d): stop it, or keep that address", dir, other, pid)
	}
	where, err := firstLook(ctx, dir, addr)
	switch {
	case errors.Is(err, errNobody):
		return nil, nil
	case err != nil:
		return nil, errTaken(addr, err)
	case where != dir:
		return nil, errTaken(addr, errForeign)
	case !lives(ctx, dir, addr):
		return nil, nil
	}
	s := &Server{kind: kindOf(ctx, addr), addr: addr, done: make(chan struct{}), stop: func(context.Context) error { return nil }}
	pid, _ := pidOf(dir)
	slog.InfoContext(ctx, "embedded broker: adopted the running server", "kind", s.kind, "url", s.URL(), "pid", pid)
	return s, nil
}

// lives reports whether the server is still there after the time that a dying
// one needs.
func lives(ctx context.Context, dir, addr string) bool {
	deadline := time.Now().Add(dyingFor)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		where, err := dataDir(ctx, addr)
		if err != nil || where != dir {
			return false
		}
		time.Sleep(readyEvery)
	}
	return ctx.Err() == nil
}

// firstLook bears with a server of ours that is just ending.
func firstLook(ctx context.Context, dir, addr string) (string, error) {
	_, ours := pidOf(dir)
	deadline := time.Now().Add(dyingFor)
	for {
		where, err := dataDir(ctx, addr)
		if err == nil || errors.Is(err, errNobody) || ours != addr || ctx.Err() != nil || time.Now().After(deadline) {
			return where, err
		}
		time.Sleep(readyEvery)
	}
}

// errNobody means that nothing listens at all.
var errNobody = errors.New("nothing listens there")

// dataDir asks the server at addr for its folder, and waits for it while it
// loads its data.
func dataDir(ctx context.Context, addr string) (string, error) {
	for {
		dir, err := askDir(ctx, addr)
		if !isLoading(err) || !pause.For(ctx, readyEvery) {
			return dir, err
		}
	}
}

// isLoading is true of the one state that ends by itself.
func isLoading(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.HasPrefix(string(reply), "LOADING ")
}

func askDir(ctx context.Context, addr string) (string, error) {
	conn, err := (redisx.Options{Addr: addr, DialTimeout: time.Second, Timeout: time.Second}).Dial(ctx)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "", errNobody
	}
	if err != nil {
		return "", err
	}
	defer conn.Close()
	pair, err := redis.Strings(conn.Do("CONFIG", "GET", "dir"))
	if err != nil {
		return "", err
	}
	if len(pair) != 2 {
		return "", errForeign
	}
	return filepath.Clean(pair[1]), nil
}

func kindOf(ctx context.Context, addr string) string {
	conn, err := (redisx.Options{Addr: addr}).Dial(ctx)
	if err != nil {
		return RedisServer
	}
	defer conn.Close()
	if info, _ := redis.String(conn.Do("INFO", "server")); strings.Contains(info, "valkey_version:") {
		return ValkeyServer
	}
	return RedisServer
}
