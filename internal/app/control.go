package app

import (
	"context"
	"time"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// control gives the monitor and the workflows the part of the client that they
// ask for.
type control struct{ *client.Client }

// Inspect is monitor.Control's.
func (c control) Inspect(ctx context.Context, method string, args protocol.Object, destination []string, timeout time.Duration) (map[string]protocol.Raw, error) {
	return c.Client.Inspect(ctx, method, args, client.ControlOptions{Destination: destination, Timeout: timeout})
}

// Revoke is engine.Revoker's: it also ends what is running.
func (c control) Revoke(ctx context.Context, ids ...string) error {
	return c.Broadcast(ctx, "revoke", protocol.Object{
		{Name: "task_id", Value: ids}, {Name: "terminate", Value: true}, {Name: "signal", Value: "SIGTERM"},
	})
}
