package redis

import (
	"context"
	"fmt"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/internal/redisx"
)

// conn takes a connection from the pool; the caller closes it.
func (b *Backend) conn(ctx context.Context) (redis.Conn, error) {
	if b.closing.Err() != nil {
		return nil, backend.ErrClosed
	}
	c, err := b.pool.GetContext(ctx)
	if err != nil {
		return nil, b.classify(err)
	}
	return c, nil
}

// classify makes errors that pass by themselves match backend.ErrConnection: a
// lost connection, a server that takes no writes while it fails over.
func (b *Backend) classify(err error) error {
	if b.closing.Err() != nil {
		return backend.ErrClosed
	}
	if redisx.IsConnection(err) || redisx.IsReadOnly(err) {
		return fmt.Errorf("%w: %w", backend.ErrConnection, err)
	}
	return err
}

// do runs one command.
func (b *Backend) do(ctx context.Context, command string, args ...any) (any, error) {
	conn, err := b.conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := conn.Do(command, args...)
	if err != nil {
		return nil, b.classify(err)
	}
	return reply, nil
}

// run runs one script, its text sent only when the server does not know it.
func (b *Backend) run(ctx context.Context, s *redis.Script, keysAndArgs ...any) (any, error) {
	conn, err := b.conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := s.Do(conn, keysAndArgs...)
	if err != nil {
		return nil, b.classify(err)
	}
	return reply, nil
}

// readMany returns the values of string keys, nil for missing ones.
func (b *Backend) readMany(ctx context.Context, keys []string) ([][]byte, error) {
	args := make([]any, len(keys))
	for i, k := range keys {
		args[i] = k
	}
	return redis.ByteSlices(b.do(ctx, "MGET", args...))
}

// command is one of a transaction.
type command struct {
	name string
	args redis.Args
}

// transaction runs commands in MULTI and EXEC, in one round trip.
func (b *Backend) transaction(ctx context.Context, commands ...command) error {
	conn, err := b.conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.Send("MULTI") // an error of Send shows at EXEC
	for _, c := range commands {
		conn.Send(c.name, c.args...)
	}
	replies, err := redis.Values(conn.Do("EXEC"))
	if err != nil {
		return b.classify(err)
	}
	for _, r := range replies {
		if err, ok := r.(redis.Error); ok {
			return b.classify(err)
		}
	}
	return nil
}
