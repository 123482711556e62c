package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/umbel-go/umbel/client"
	dagapi "github.com/umbel-go/umbel/dag/api"
	"github.com/umbel-go/umbel/dag/demo"
	"github.com/umbel-go/umbel/dag/engine"
	dagpages "github.com/umbel-go/umbel/dag/pages"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/dag/xingqiao"
	"github.com/umbel-go/umbel/internal/version"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// workflows is the workflow engine with its store.
type workflows struct {
	store  *store.Store
	engine *engine.Engine
}

// newWorkflows opens the store at path.
func newWorkflows(ctx context.Context, conn *connection, m *monitor.Monitor, path string) (*workflows, error) {
	st, err := store.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	c := client.New(client.Config{Broker: conn.broker, Backend: conn.backend})
	e, err := engine.New(engine.Config{
		Store: st, Sender: c, Backend: conn.backend, Revoker: control{c}, Fleet: fleet{m},
	})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &workflows{store: st, engine: e}, nil
}

// mount adds pages and APIs to a site.
func (w *workflows) mount(s *site) {
	s.server.Mount(dagpages.Routes(w.engine, s.renderer), dagpages.Nav())
	dagpages.Live(w.engine, s.hub)
	s.server.Mount(dagapi.Routes(w.engine), nil)
	s.server.Mount(xingqiao.Routes(xingqiao.Config{
		Engine: w.engine, Plugins: xingqiao.NewRegistry(), Version: version.String,
	}), nil)
}

// run moves workflows until ctx ends; hints come from the monitor's events.
func (w *workflows) run(ctx context.Context, m *monitor.Monitor) error {
	feeding, stop := context.WithCancel(ctx)
	hints := make(chan struct{})
	go func() { defer close(hints); w.feed(feeding, m) }()
	err := w.engine.Run(ctx)
	stop()
	<-hints
	if ctx.Err() != nil {
		return nil // asked to end
	}
	return err
}

// close ends the store, after everything that may ask it.
func (w *workflows) close() {
	if err := w.store.Close(); err != nil {
		slog.Error("close the workflow store", "error", err)
	}
}

// feed passes task events on as hints. A hint that is missed costs time only,
// so that a stream which fell behind is simply opened again.
func (w *workflows) feed(ctx context.Context, m *monitor.Monitor) {
	for ctx.Err() == nil {
		changes, end := m.Changes()
		w.drain(ctx, changes)
		end()
	}
}

func (w *workflows) drain(ctx context.Context, changes <-chan monitor.Change) {
	for {
		select {
		case c, ok := <-changes:
			if !ok {
				return
			}
			if c.TaskID != "" {
				w.engine.Observe(engine.Hint{TaskID: c.TaskID, State: c.State, Worker: c.Worker, At: protocol.FromSeconds(c.Event.Timestamp)})
			}
		case <-ctx.Done():
			return
		}
	}
}

// defineDemo stores the demo workflows and returns the name of the first, which
// sample work starts.
func (w *workflows) defineDemo(ctx context.Context) (string, error) {
	defs, err := demo.Definitions()
	if err != nil {
		return "", err
	}
	for _, def := range defs {
		if _, err := w.engine.Define(ctx, def, "demo"); err != nil {
			return "", fmt.Errorf("define demo workflow %s: %w", def.Name, err)
		}
	}
	return defs[0].Name, nil
}
