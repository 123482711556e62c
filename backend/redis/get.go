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
	data, err := redis.Bytes(b.do(ctx, "GET", b.keys.task(id)))
	if errors.Is(err, redis.ErrNil) {
		return &protocol.Result{TaskID: id, Status: protocol.StatePending, Value: protocol.Raw("null")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get result of %s: %w", id, err)
	}
	r, err := b.decodeResult(id, data)
	if err != nil {
		return nil, fmt.Errorf("get result of %s: %w", id, err)
	}
	return r, nil
}

// Forget deletes the result. A missing one is no error.
func (b *Backend) Forget(ctx context.Context, id string) error {
	if _, err := b.do(ctx, "DEL", b.keys.task(id)); err != nil {
		return fmt.Errorf("forget result of %s: %w", id, err)
	}
	return nil
}
