// Package embedded starts a broker of our own on this machine, for those who have
// none: redis-server or valkey-server where one is installed, else a stand-in
// inside the process.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// DefaultAddr is where the broker listens.
const DefaultAddr = "127.0.0.1:16379"

// Kinds of server.
const (
	RedisServer  = "redis-server"
	ValkeyServer = "valkey-server"
	Miniredis    = "miniredis"
)

// Config says where the broker lives.
type Config struct {
	// Dir is the folder for its data, created when missing. One server at a
	// time uses it.
	Dir string
	// Addr is a loopback address and port; "" means DefaultAddr. The broker has
	// no password, so it never listens elsewhere.
	Addr string
}

// Server is a running broker.
type Server struct {
	kind    string
	addr    string
	warning string
	done    chan struct{}
	stop    func(context.Context) error

	once    sync.Once
	stopErr error
}

// Start runs a server and returns when it answers. A live server on the same
// folder and address is adopted; anything else on the address is an error. ctx
// bounds the start only.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = DefaultAddr
	}
	if err := checkLoopback(cfg.Addr); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(cfg.Dir, "broker"))
	if err != nil {
		return nil, fmt.Errorf("embedded broker: data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded broker: data folder: %w", err)
	}
	if s, err := adopt(ctx, dir, cfg.Addr); s != nil || err != nil {
		return s, err
	}
	p, err := findProgram(ctx)
	if err != nil {
		return startMini(ctx, cfg.Addr, err)
	}
	return startChild(ctx, p, dir, cfg.Addr)
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("embedded broker: address %q: write it as 127.0.0.1:16379", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("embedded broker: %s is not a loopback address: it has no password; for other machines run a Redis of your own and give its URL", host)
	}
	return nil
}

// errTaken says who must give way.
func errTaken(addr string, cause error) error {
	return fmt.Errorf("embedded broker: %s is taken by another program: choose another port with --broker-listen, or use what runs there with --broker: %w", addr, cause)
}

var errForeign = errors.New("it is not a Redis on our data folder")

// URL is what clients connect to.
func (s *Server) URL() string { return "redis://" + s.addr + "/0" }

// Kind tells which server it is: RedisServer, ValkeyServer or Miniredis.
func (s *Server) Kind() string { return s.kind }

// Warning is what the user must know about this server, "" for a real one.
func (s *Server) Warning() string { return s.warning }

// Done is closed when the server has ended, by Stop or by itself. An adopted
// server's end is not noticed.
func (s *Server) Done() <-chan struct{} { return s.done }

// Ping reports whether the server answers before ctx ends, at most a second.
func (s *Server) Ping(ctx context.Context) error {
	if s.kind == Miniredis {
		return nil // it runs in this process
	}
	_, err := dataDir(ctx, s.addr)
	return err
}

// Stop ends the server and waits for it; when ctx ends first, the server is
// killed. An adopted server is left running: another process may be using it.
func (s *Server) Stop(ctx context.Context) error {
	s.once.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) logStarted(ctx context.Context) {
	slog.InfoContext(ctx, "embedded broker started", "kind", s.kind, "url", s.URL())
	if s.warning != "" {
		slog.WarnContext(ctx, s.warning)
	}
}
