package worker

import (
	"context"

	"github.com/umbel-go/umbel/protocol"
)

// Invoke calls a registered handler without a broker.
func Invoke(w *Worker, name string, t *protocol.Task) (any, error) {
	return w.registry[name].handler(context.Background(), &Task{Task: t})
}
