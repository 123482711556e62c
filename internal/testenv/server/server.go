// Package server runs private Redis and RabbitMQ servers on loopback ports of
// their own, with their data in a folder the caller gives.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/umbel-go/umbel/internal/testenv/child"
)

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// Server is one private server. It can be started again after it ended, on the
// same port and with the same data. Its methods are for one goroutine at a time.
type Server struct {
	// URL is what clients dial: redis://127.0.0.1:PORT or
	// amqp://guest:guest@127.0.0.1:PORT.
	URL string
	// API is the address of RabbitMQ's management API with user and password;
	// empty for Redis.
	API string

	name    string
	dir     string
	command func() *exec.Cmd
	ready   func(context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts the server and returns once it answers. The error of a server
// that ends or stays silent holds the end of its log.
func (s *Server) Start(ctx context.Context) error {
	if s.Running() {
		return fmt.Errorf("%s is running already", s.name)
	}
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", s.name, err)
	}
	defer log.Close()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	if err := child.Start(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	go func() {
		err := child.Wait(cmd)
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		close(done)
	}()
	if err := s.await(ctx, done); err != nil {
		s.Kill()
		return err
	}
	return nil
}

func (s *Server) await(ctx context.Context, done <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-done:
			return fmt.Errorf("%s ended while it started (%v):\n%s", s.name, s.Err(), s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w:\n%s", s.name, errors.Join(ctx.Err(), err), s.logTail())
		}
	}
}

// Stop asks the server to end (SIGTERM), waits for it, and kills it when it has
// not ended after 20 s.
func (s *Server) Stop() {
	cmd, done := s.process()
	if cmd == nil {
		return
	}
	_ = child.SignalGroup(cmd, syscall.SIGCONT)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(stopTimeout):
	}
	s.Kill()
}

// Kill ends the server as a crash would (SIGKILL) and waits until it is gone.
func (s *Server) Kill() {
	cmd, done := s.process()
	if cmd == nil {
		return
	}
	_ = child.SignalGroup(cmd, syscall.SIGKILL)
	<-done
}

// Pause freezes the server (SIGSTOP): connections stay open and nothing answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume continues a server that Pause froze.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	cmd, _ := s.process()
	if cmd == nil {
		return fmt.Errorf("%s was never started", s.name)
	}
	return child.SignalGroup(cmd, sig)
}

// Running tells whether the process lives.
func (s *Server) Running() bool {
	cmd, done := s.process()
	if cmd == nil {
		return false
	}
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// Done is closed when the process of the latest Start has ended.
func (s *Server) Done() <-chan struct{} {
	_, done := s.process()
	return done
}

// Err tells how the process ended; nil while it runs and after a clean exit.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Pid is the process id of the latest Start, 0 before it.
func (s *Server) Pid() int {
	cmd, _ := s.process()
	if cmd == nil {
		return 0
	}
	return cmd.Process.Pid
}

func (s *Server) process() (*exec.Cmd, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd, s.done
}

func (s *Server) log() string { return filepath.Join(s.dir, "output.log") }

func (s *Server) logTail() string {
	const keep = 4000
	b, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-keep):]))
}
