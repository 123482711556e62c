package testenv

import (
	"context"
	"testing"

	"github.com/umbel-go/umbel/internal/testenv/server"
)

// lifecycle is what the two kinds of server have in common.
type lifecycle interface {
	Start(context.Context) error
	Stop()
	Kill()
	Pause() error
	Resume() error
	Running() bool
	Pid() int
}

// Server is a server process of one test alone, to be broken at will. Its
// methods fail the test; call them on the test's goroutine.
type Server struct {
	// URL is what clients dial; it stays the same over restarts.
	URL string
	// API is RabbitMQ's management API with user and password; empty for Redis.
	API string

	t   testing.TB
	run lifecycle
}

// RedisServer starts a redis-server for this test alone, with options as on its
// command line ("--appendonly", "yes"). By default it forgets everything when it
// ends. It takes about 50 ms.
func RedisServer(t testing.TB, options ...string) *Server {
	t.Helper()
	s, err := server.NewRedis(t.TempDir(), options...)
	if err != nil {
		Missing(t, "start a private Redis: %v", err)
	}
	t.Cleanup(s.Kill)
	own := &Server{URL: s.URL, t: t, run: s}
	own.Start()
	return own
}

// RabbitMQServer starts a RabbitMQ node for this test alone. Durable queues and
// persistent messages survive its restarts. A start takes about 5 s, as does an
// orderly stop: prefer AMQP wherever a vhost is enough.
func RabbitMQServer(t testing.TB) *Server {
	t.Helper()
	b, err := server.NewRabbitMQ(t.TempDir())
	if err != nil {
		Missing(t, "start a private RabbitMQ: %v", err)
	}
	t.Cleanup(b.Close)
	own := &Server{URL: b.URL, API: b.API, t: t, run: b}
	own.Start()
	return own
}

// Ctl runs rabbitmqctl, on RabbitMQ only. It takes a second or two.
func (s *Server) Ctl(args ...string) {
	s.t.Helper()
	if err := s.run.(*server.Broker).Ctl(args...); err != nil {
		s.t.Fatal(err)
	}
}

// Start starts the server after Stop or Kill and returns once it answers.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.run.Start(s.t.Context()); err != nil {
		s.t.Fatalf("start the server: %v", err)
	}
}

// Stop ends the server in an orderly way (SIGTERM) and waits for it.
func (s *Server) Stop() { s.run.Stop() }

// Kill ends the server as a crash would (SIGKILL).
func (s *Server) Kill() { s.run.Kill() }

// Restart is Stop, then Start.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// Pause freezes the server: its connections stay open, nothing answers.
func (s *Server) Pause() {
	s.t.Helper()
	if err := s.run.Pause(); err != nil {
		s.t.Fatalf("pause the server: %v", err)
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	s.t.Helper()
	if err := s.run.Resume(); err != nil {
		s.t.Fatalf("resume the server: %v", err)
	}
}

// Running tells whether the server's process lives.
func (s *Server) Running() bool { return s.run.Running() }

// Pid is the process id of the server.
func (s *Server) Pid() int { return s.run.Pid() }

// FreePort returns a loopback TCP port that nothing listens on now.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := server.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
