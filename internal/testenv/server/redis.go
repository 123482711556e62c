package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"
)

// RedisDatabases is how many numbered databases a server of NewRedis has.
const RedisDatabases = 4096

// FindRedis returns the path of a Redis (or Valkey) server program.
func FindRedis() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("redis-server is not installed (Redis 6.2 or newer; Debian and Ubuntu: apt-get install redis-server, macOS: brew install redis)")
}

// NewRedis prepares a Redis server with its data in dir. It saves nothing to
// disk unless extra options say so ("--appendonly", "yes").
func NewRedis(dir string, extra ...string) (*Server, error) {
	path, err := FindRedis()
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	args := append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--databases", strconv.Itoa(RedisDatabases),
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, extra...)
	return &Server{
		URL:     "redis://" + addr,
		name:    "redis-server",
		dir:     dir,
		command: func() *exec.Cmd { return exec.Command(path, args...) },
		ready:   func(ctx context.Context) error { return pingRedis(ctx, addr) },
	}, nil
}

func pingRedis(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("reach redis-server: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return fmt.Errorf("ping redis-server: %w", err)
	}
	// While it loads its data the answer is an error.
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil {
		return fmt.Errorf("ping redis-server: %w", err)
	}
	if string(answer[:n]) != "+PONG\r\n" {
		return fmt.Errorf("redis-server answered %q to PING", answer[:n])
	}
	return nil
}
