package worker

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// refusals counts messages that are no usable task by what is wrong with them.
// It is safe for concurrent use.
type refusals struct {
	mu     sync.Mutex
	counts map[protocol.Kind]int64
}

func (r *refusals) add(kind protocol.Kind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[protocol.Kind]int64{}
	}
	r.counts[kind]++
}

func (r *refusals) list() map[protocol.Kind]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// refuse keeps a message that is no usable task in the dead-letter place, and
// tells whoever waits for the result when the id could be read. A message in a
// form that only others read, for a task that is not ours, is theirs.
func (w *Worker) refuse(d broker.Delivery, err error) {
	var e *protocol.Error
	if !errors.As(err, &e) {
		e = &protocol.Error{Kind: protocol.KindMalformed, Err: err}
	}
	t := w.salvage(d.Message(), e)
	if e.Kind == protocol.KindContent && t.Name != "" && w.registry[t.Name] == nil {
		w.handleForeign(d, t)
		return
	}
	w.refused.add(e.Kind)
	w.log.Error("refused a message; it is kept in the dead-letter place", "queue", d.Queue(), "kind", e.Kind, "error", err)
	if e.Fate == protocol.FateFail {
		w.failUnrun(t, &protocol.Exception{Module: "celery.exceptions", Type: "InvalidTaskError", Args: []any{e.Error()}})
	}
	w.move("move to the dead-letter place", d, t, func(ctx context.Context) error { return d.Dead(ctx, e.Short()) })
}

// salvage is what can be read of a task that cannot be run: at least what the
// error names, at best its place in a chord and the rest of its chain, to which
// the failure must get.
func (w *Worker) salvage(m *protocol.Message, e *protocol.Error) *protocol.Task {
	t := &protocol.Task{
		ID: e.TaskID, Name: e.TaskName, ReplyTo: m.Properties.ReplyTo, CorrelationID: m.Properties.CorrelationID,
	}
	if e.Fate != protocol.FateFail {
		return t
	}
	kept := *m
	kept.Headers = nil
	for _, f := range m.Headers {
		switch f.Name {
		case "task", "id", "group", "group_index", "root_id", "parent_id", "compression":
			kept.Headers = append(kept.Headers, f)
		}
	}
	if found, err := w.decoder.Task(&kept); err == nil {
		return found
	}
	// The arguments are at fault, or everything is.
	parts, err := protocol.SplitArray(m.Body)
	if err != nil || len(parts) != 3 {
		return t
	}
	if kept.Body, err = protocol.Marshal([]any{[]any{}, protocol.Object{}, parts[2]}); err != nil {
		return t
	}
	if found, err := w.decoder.Task(&kept); err == nil {
		return found
	}
	return t
}

// failUnrun stores FAILURE for a task that never ran, with its chord part and
// for the rest of its chain. As in Celery it calls no errbacks, and stores the
// result although it is ignored.
func (w *Worker) failUnrun(t *protocol.Task, e *protocol.Exception) {
	unrun := *t
	unrun.IgnoreResult, unrun.Errbacks = nil, nil
	w.failAll(w.settling, &unrun, nil, outcome{state: failed, exception: e})
}

// refuseRevoked ends a task that was revoked or has expired before it began.
func (w *Worker) refuseRevoked(d broker.Delivery, t *protocol.Task, reason string) {
	w.log.Info("discarding revoked task", "task", t.Name, "id", t.ID, "reason", reason)
	if err := w.settle(w.settling, t, w.registry[t.Name], outcome{state: revoked, reason: reason}, true); err != nil {
		w.unsettled(d, t, err, true)
		return
	}
	w.finish("acknowledge", t, d.Ack)
}
