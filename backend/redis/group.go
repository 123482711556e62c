package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

const (
	// joinTimeout is how long the results of a saved group may be late
	// (result_chord_join_timeout).
	joinTimeout = 3 * time.Second
	joinEvery   = 50 * time.Millisecond
)

// PutGroup saves a GroupResult and publishes it, as Celery does, for as long as
// the group's results and its chord last.
func (b *Backend) PutGroup(ctx context.Context, group string, tuple protocol.Raw) error {
	saved, err := protocol.EncodeGroup(tuple)
	if err != nil {
		return fmt.Errorf("save group %s: %w", group, err)
	}
	data, err := b.encode(saved)
	if err != nil {
		return fmt.Errorf("save group %s: %w", group, err)
	}
	key := b.keys.group(group)
	set := command{"SET", redis.Args{key, data}}
	if ttl := b.groupTTL(); ttl > 0 {
		set.args = set.args.Add("EX", ttl)
	}
	if err := b.transaction(ctx, set, command{"PUBLISH", redis.Args{key, data}}); err != nil {
		return fmt.Errorf("save group %s: %w", group, err)
	}
	return nil
}

// GetGroup returns a saved GroupResult, backend.ErrNoGroup when there is none.
func (b *Backend) GetGroup(ctx context.Context, group string) (protocol.Tuple, error) {
	data, err := redis.Bytes(b.do(ctx, "GET", b.keys.group(group)))
	if errors.Is(err, redis.ErrNil) {
		err = backend.ErrNoGroup
	}
	if err != nil {
		return protocol.Tuple{}, fmt.Errorf("get group %s: %w", group, err)
	}
	t, err := b.decodeGroup(data)
	if err != nil {
		return t, fmt.Errorf("get group %s: %w", group, err)
	}
	return t, nil
}

// DeleteGroup deletes a saved GroupResult. A missing one is no error.
func (b *Backend) DeleteGroup(ctx context.Context, group string) error {
	if _, err := b.do(ctx, "DEL", b.keys.group(group)); err != nil {
		return fmt.Errorf("delete group %s: %w", group, err)
	}
	return nil
}

// joinGroup returns the results of a saved group's members, by the results of
// their tasks. A member that is a group becomes one result whose value is the
// list of its members' values, or the first of them that failed. A result that
// is not ready in time counts as failed with a TimeoutError.
func (b *Backend) joinGroup(ctx context.Context, group string, saved []byte) ([]*protocol.Result, error) {
	root, err := b.decodeGroup(saved)
	if err != nil {
		e := protocol.NewException("unreadable group result: " + err.Error())
		return []*protocol.Result{failedPart(group, e)}, nil
	}
	ready, err := b.awaitReady(ctx, root.Tasks())
	if err != nil {
		return nil, err
	}
	out := make([]*protocol.Result, len(root.Members))
	for i, m := range root.Members {
		if out[i], err = memberResult(m, ready); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Backend) decodeGroup(saved []byte) (protocol.Tuple, error) {
	data, err := b.plain(saved)
	if err != nil {
		return protocol.Tuple{}, err
	}
	return protocol.DecodeGroup(data)
}

func memberResult(m protocol.Tuple, ready map[string]*protocol.Result) (*protocol.Result, error) {
	if !m.Group {
		if r := ready[m.ID]; r != nil {
			return r, nil
		}
		return failedPart(m.ID, &protocol.Exception{
			Type: "TimeoutError", Module: "celery.exceptions", Args: []any{"The operation timed out."},
		}), nil
	}
	values := make([]any, len(m.Members))
	for i, c := range m.Members {
		r, err := memberResult(c, ready)
		if err != nil || r.Status != protocol.StateSuccess {
			return r, err
		}
		values[i] = orNull(r.Value)
	}
	raw, err := protocol.Marshal(values)
	return &protocol.Result{TaskID: m.ID, Status: protocol.StateSuccess, Value: raw}, err
}

// awaitReady reads results until all are ready or joinTimeout is over, and
// returns the ready ones by id. Usually all are: a task's result is stored before
// its part is added.
func (b *Backend) awaitReady(ctx context.Context, ids []string) (map[string]*protocol.Result, error) {
	ready := make(map[string]*protocol.Result, len(ids))
	deadline := time.NewTimer(joinTimeout)
	defer deadline.Stop()
	again := time.NewTicker(joinEvery)
	defer again.Stop()
	for {
		missing, err := b.readReady(ctx, ids, ready)
		if err != nil || len(missing) == 0 {
			return ready, err
		}
		ids = missing
		select {
		case <-again.C:
		case <-deadline.C:
			return ready, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// readReady adds the ready ones of the results to the map and returns the ids of
// the others. A result that cannot be read counts as failed.
func (b *Backend) readReady(ctx context.Context, ids []string, ready map[string]*protocol.Result) (missing []string, err error) {
	for len(ids) > 0 {
		n := min(readAtOnce, len(ids))
		keys := make([]string, n)
		for i, id := range ids[:n] {
			keys[i] = b.keys.task(id)
		}
		values, err := b.readMany(ctx, keys)
		if err != nil {
			return nil, err
		}
		for i, id := range ids[:n] {
			r, err := b.decodeResult(id, values[i])
			switch {
			case values[i] == nil || err == nil && !r.Ready():
				missing = append(missing, id)
			case err != nil:
				ready[id] = failedPart(id, protocol.NewException("unreadable result: "+err.Error()))
			default:
				ready[id] = r
			}
		}
		ids = ids[n:]
	}
	return missing, nil
}
