package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/internal/pause"
	"github.com/umbel-go/umbel/protocol"
)

// janitorPause is the mean pause between two looks for chords whose finisher
// died; each is between half and one and a half of it, so that many workers do
// not look at once.
const janitorPause = 10 * time.Second

// janitor finishes chords that are complete but that nobody finishes.
func (w *Worker) janitor(ctx context.Context) {
	ch, ok := w.cfg.Backend.(backend.Chorder)
	if !ok {
		return
	}
	for pause.For(ctx, janitorPause/2+rand.N(janitorPause)) {
		w.adoptChords(ctx, ch)
	}
}

// adoptChords finishes the orphans that it is given, also those that come with
// an error: their claims are ours.
func (w *Worker) adoptChords(ctx context.Context, ch backend.Chorder) {
	orphans, err := ch.OrphanChords(ctx)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("cannot look for unfinished chords", "error", err)
	}
	for _, o := range orphans {
		w.log.Warn("finishing a chord that nobody finished", "chord", o.Start.Group, "body", o.Start.Body.Task)
		last := &protocol.Task{Group: o.Start.Group, Chord: &o.Start.Body, RootID: o.Start.RootID}
		if n := len(o.Join.Parts); n > 0 {
			last.ID = o.Join.Parts[n-1].TaskID
		}
		if err := w.adopt(ctx, last, o.Join); err != nil {
			w.log.Error("cannot finish a chord; it is tried again", "chord", o.Start.Group, "error", err)
		}
	}
}

// adopt is not stopped half-way by a shutdown: a body that was sent but not
// noted as sent would be sent again.
func (w *Worker) adopt(ctx context.Context, last *protocol.Task, join *backend.ChordJoin) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.grace())
	defer cancel()
	return w.joinChord(ctx, last, join)
}
