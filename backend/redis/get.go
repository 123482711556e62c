package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/protocol"
)

// Get returns what is stored under the id, and a result in state PENDING when
// nothing is.
func (b *Backend) Get(ctx context.Context, id string) (*protocol.Result, error) {
	data, err := redis.Bytes(b.do(ctx, "GET", b.taskKey(id)))
	if errors.Is(err, redis.ErrNil) {
		return &protocol.Result{TaskID: id, Status: protocol.StatePending, Value: protocol.Raw("null")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get result of %s: %w", id, err)
	}
	r, err := decodeResult(data)
	if err != nil {
		return nil, fmt.Errorf("get result of %s: %w", id, err)
	}
	return r, nil
}

// Forget deletes the result. A missing one is no error.
func (b *Backend) Forget(ctx context.Context, id string) error {
	if _, err := b.do(ctx, "DEL", b.taskKey(id)); err != nil {
		return fmt.Errorf("forget result of %s: %w", id, err)
	}
	return nil
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

func decodeResult(stored []byte) (*protocol.Result, error) {
	data, err := plain(stored)
	if err != nil {
		return nil, err
	}
	return protocol.DecodeResult(data)
}
