package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/client"
	dagapi "github.com/umbel-go/umbel/dag/api"
	"github.com/umbel-go/umbel/dag/demo"
	"github.com/umbel-go/umbel/dag/engine"
	dagpages "github.com/umbel-go/umbel/dag/pages"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/dag/xingqiao"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/worker"
)

// workflows is the workflow engine with its store.
type workflows struct {
	store  *store.Store
	engine *engine.Engine
}

// newWorkflows opens the store at path. queue is where tasks go that name none.
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
		Engine: w.engine, Plugins: xingqiao.NewRegistry(), Version: worker.Version,
	}), nil)
}

// run moves workflows until ctx ends; hints come from the monitor's events.
func (w *workflows) run(ctx context.Context, m *monitor.Monitor) error {
	hints := make(chan struct{})
	go func() { defer close(hints); w.feed(ctx, m) }()
	err := w.engine.Run(ctx)
	<-hints
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, w.store.Close())
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
				w.engine.Observe(engine.Hint{TaskID: c.TaskID, State: c.State, Worker: c.Worker, At: eventTime(c)})
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
