package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

const (
	// joinTimeout is how long the results of a saved group may be late
	// (result_chord_join_timeout).
	joinTimeout = 3 * time.Second
	joinEvery   = 50 * time.Millisecond
	// maxNesting bounds groups within groups.
	maxNesting = 64
)

// member is a node of a saved GroupResult: a task, or a group of members.
type member struct {
	id      string
	group   bool
	members []member
}

// joinGroup returns the results of a saved group's members, by the results of
// their tasks. A member that is a group becomes one result whose value is the
// list of its members' values, or the first of them that failed. A result that
// is not ready in time counts as failed with a TimeoutError.
func (b *Backend) joinGroup(ctx context.Context, group string, saved []byte) ([]*protocol.Result, error) {
	root, err := decodeGroup(saved)
	if err != nil {
		e := protocol.NewException("unreadable group result: " + err.Error())
		return []*protocol.Result{failedPart(group, e)}, nil
	}
	ready, err := b.awaitReady(ctx, root.tasks(nil))
	if err != nil {
		return nil, err
	}
	out := make([]*protocol.Result, len(root.members))
	for i, m := range root.members {
		if out[i], err = m.result(ready); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeGroup reads {"result": [[id, parent], [tuples]]}.
func decodeGroup(saved []byte) (member, error) {
	data, err := plain(saved)
	if err != nil {
		return member{}, err
	}
	o, err := protocol.DecodeObject(data)
	if err != nil {
		return member{}, err
	}
	v, _ := o.Get("result")
	m, err := memberOf(v, 0)
	if err == nil && !m.group {
		err = fmt.Errorf("a single task where a group is expected")
	}
	return m, err
}

// memberOf reads a result tuple: [[id, parent], null] for a task, [[id, parent],
// [tuples]] for a group; the pair may be the bare id, and a task's tuple too.
func memberOf(v any, depth int) (member, error) {
	if id, ok := v.(string); ok {
		return member{id: id}, nil
	}
	tuple, _ := v.([]any)
	if len(tuple) != 2 || depth > maxNesting {
		return member{}, fmt.Errorf("not a result tuple")
	}
	var m member
	switch head := tuple[0].(type) {
	case string:
		m.id = head
	case []any:
		if len(head) > 0 {
			m.id, _ = head[0].(string)
		}
	}
	if m.id == "" {
		return m, fmt.Errorf("result tuple without an id")
	}
	children, isGroup := tuple[1].([]any)
	m.group = isGroup
	for _, c := range children {
		child, err := memberOf(c, depth+1)
		if err != nil {
			return m, err
		}
		m.members = append(m.members, child)
	}
	return m, nil
}

// tasks appends the ids of all tasks under m.
func (m member) tasks(ids []string) []string {
	if !m.group {
		return append(ids, m.id)
	}
	for _, c := range m.members {
		ids = c.tasks(ids)
	}
	return ids
}

func (m member) result(ready map[string]*protocol.Result) (*protocol.Result, error) {
	if !m.group {
		if r := ready[m.id]; r != nil {
			return r, nil
		}
		return failedPart(m.id, &protocol.Exception{
			Type: "TimeoutError", Module: "celery.exceptions", Args: []any{"The operation timed out."},
		}), nil
	}
	values := make([]any, len(m.members))
	for i, c := range m.members {
		r, err := c.result(ready)
		if err != nil || r.Status != protocol.StateSuccess {
			return r, err
		}
		values[i] = orNull(r.Value)
	}
	raw, err := protocol.Marshal(values)
	return &protocol.Result{TaskID: m.id, Status: protocol.StateSuccess, Value: raw}, err
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
			keys[i] = b.taskKey(id)
		}
		values, err := b.readMany(ctx, keys)
		if err != nil {
			return nil, err
		}
		for i, id := range ids[:n] {
			r, err := decodeResult(values[i])
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
