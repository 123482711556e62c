package client

import (
	"context"
	"fmt"

	"github.com/umbel-go/umbel/backend"
)

// Save writes a group's handle down under its id, as Celery's GroupResult.save,
// so that Client.RestoreGroup and Python find its members. It is kept as long as
// results are.
func (r *Result) Save(ctx context.Context) error {
	g, err := grouper(r.backend)
	if err == nil {
		err = g.PutGroup(ctx, r.ID, r.tuple.Raw())
	}
	if err != nil {
		return fmt.Errorf("save group %s: %w", r.ID, err)
	}
	return nil
}

// RestoreGroup returns the handle of a group that was saved, by whomever. An
// unknown id is an error that matches backend.ErrNoGroup.
func (c *Client) RestoreGroup(ctx context.Context, id string) (*Result, error) {
	g, err := grouper(c.cfg.Backend)
	if err != nil {
		return nil, fmt.Errorf("restore group %s: %w", id, err)
	}
	t, err := g.GetGroup(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("restore group %s: %w", id, err)
	}
	return handle(c.cfg.Backend, t), nil
}

func grouper(b backend.Backend) (backend.Grouper, error) {
	if b == nil {
		return nil, ErrNoBackend
	}
	g, ok := b.(backend.Grouper)
	if !ok {
		return nil, fmt.Errorf("%w: use a Redis result backend", backend.ErrUnsupported)
	}
	return g, nil
}
