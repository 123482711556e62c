package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// ErrNoChord means that a task is no member of a chord's header.
var ErrNoChord = errors.New("the task is not a member of any chord")

// AddToChord sends sig as a further member of the header that the running task
// belongs to, as Celery's Task.add_to_chord: the body waits for its result too.
// After an error the body does not wait for it, unless the connection broke or
// ctx ended: then nobody knows whether it was sent.
func AddToChord(ctx context.Context, sig protocol.Signature) (*client.Result, error) {
	t := FromContext(ctx)
	if t == nil || t.worker == nil || t.Chord == nil || t.Group == "" {
		return nil, fmt.Errorf("add %s to a chord: %w", sig.Task, ErrNoChord)
	}
	ch, ok := t.worker.cfg.Backend.(backend.Chorder)
	if !ok {
		return nil, fmt.Errorf("add %s to a chord: %w: use a Redis result backend", sig.Task, backend.ErrUnsupported)
	}
	if err := ch.GrowChord(ctx, t.Group, 1); err != nil {
		return nil, fmt.Errorf("add %s to a chord: %w", sig.Task, err)
	}
	opts := []client.Option{
		client.Set("group_id", t.Group), client.Set("chord", *t.Chord), client.Set("root_id", rootOf(t.Task)),
	}
	if t.GroupIndex != nil {
		opts = append(opts, client.Set("group_index", *t.GroupIndex))
	}
	res, err := t.worker.client.Send(ctx, sig, opts...)
	if err != nil && !lost(err) && ctx.Err() == nil {
		err = errors.Join(err, ch.GrowChord(ctx, t.Group, -1))
	}
	return res, err
}
