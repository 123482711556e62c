package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// Start describes a new run.
type Start struct {
	// Definition is stored as a version first; nil takes the newest version of
	// Workflow.
	Definition *dag.Definition
	Workflow   string
	Inputs     protocol.Raw // object; nil means none
	// AnyInputs accepts inputs that the definition does not declare.
	AnyInputs bool
	// Timeout replaces the definition's when it is not 0.
	Timeout time.Duration
	dag.Origin
}

// Define stores a definition as the newest version of its name. The error is
// dag.Problems when the definition cannot be run.
func (e *Engine) Define(ctx context.Context, def *dag.Definition, source string) (store.Version, error) {
	if err := def.Validate(); err != nil {
		return store.Version{}, err
	}
	return e.store.Define(ctx, def, source, e.cfg.Now())
}

// Start creates a run. When it returns the run is on disk and will be run
// whatever happens to this process. Errors match store.ErrNotFound,
// store.ErrNameTaken or are dag.Problems about the inputs.
func (e *Engine) Start(ctx context.Context, s Start) (*dag.Run, error) {
	version, err := e.version(ctx, s)
	if err != nil {
		return nil, err
	}
	inputs, err := version.Definition.CheckInputs(s.Inputs, s.AnyInputs)
	if err != nil {
		return nil, err
	}
	r := dag.NewRun(version.Definition, version.Version, e.cfg.NewUUID(), inputs, e.cfg.Now())
	r.Origin = s.Origin
	if s.Timeout != 0 {
		r.Timeout = s.Timeout
	}
	if err := e.store.Create(ctx, r); err != nil {
		return nil, err
	}
	nudge(e.wake)
	e.changes.tell([]int64{r.ID})
	return r, nil
}

func (e *Engine) version(ctx context.Context, s Start) (store.Version, error) {
	if s.Definition != nil {
		return e.Define(ctx, s.Definition, s.Source)
	}
	return e.store.Definition(ctx, s.Workflow)
}

// Cancel asks for a run to be stopped and returns the run. What has not been
// sent is cancelled, what is out is revoked. Cancelling a run that is over or
// being stopped changes nothing.
func (e *Engine) Cancel(ctx context.Context, id int64, reason string) (*dag.Run, error) {
	if reason == "" {
		reason = "cancelled"
	}
	if _, err := e.store.Cancel(ctx, id, reason, e.cfg.Now()); err != nil {
		return nil, fmt.Errorf("cancel run: %w", err)
	}
	nudge(e.wake)
	return e.store.Run(ctx, id)
}

// Store is where the engine keeps everything, for reading.
func (e *Engine) Store() *store.Store { return e.store }
