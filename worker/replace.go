package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
)

// settleReplaced sends the replacement. Nothing is stored for the run: the
// result will be the replacement's.
func (w *Worker) settleReplaced(ctx context.Context, t *protocol.Task, reg *registration, out outcome) error {
	sig, opts, err := replacement(t, out.replacement)
	if err == nil {
		_, err = w.apply(ctx, t, sig, nil, opts)
	}
	if err != nil {
		if lost(err) {
			return err
		}
		return w.settleFailure(ctx, t, reg, out.failing(fmt.Errorf("the replacement %s cannot be sent: %w", out.replacement.Task, err)))
	}
	w.log.Info("task replaced", "task", t.DisplayName(), "id", t.ID, "by", sig.Task)
	return nil
}

// replacement is what stands in for a task, and the options that put it in the
// task's place (celery Task.replace).
func replacement(t *protocol.Task, sig protocol.Signature) (protocol.Signature, protocol.Object, error) {
	if _, member := sig.Options.Get("chord"); member {
		return sig, nil, errors.New("a replacement must not be part of a chord itself")
	}
	nested := client.Set("replaced_task_nesting", t.ReplacedTaskNesting+1)
	sig, err := gathered(sig, nested)
	if err != nil {
		return sig, nil, err
	}
	sig = client.With(sig, client.Link(t.Callbacks...), client.LinkError(t.Errbacks...), nested)
	opts := protocol.Object{{Name: "task_id", Value: t.ID}}
	if t.Group != "" {
		opts = opts.Set("group_id", t.Group)
	}
	if t.GroupIndex != nil {
		opts = opts.Set("group_index", *t.GroupIndex)
	}
	if t.Chord != nil {
		opts = opts.Set("chord", *t.Chord)
	}
	if len(t.Chain) > 0 {
		rest := make([]protocol.Signature, len(t.Chain))
		for i, s := range t.Chain {
			rest[i] = client.With(s, nested)
		}
		opts = opts.Set("chain", rest)
	}
	return sig, opts, nil
}

// gathered makes one result of what ends in a group: a chord whose body returns
// the list. The steps of a chain get the option too.
func gathered(sig protocol.Signature, nested client.Option) (protocol.Signature, error) {
	switch sig.SubtaskType {
	case protocol.SubtaskGroup:
		list := client.With(client.Task(protocol.TaskAccumulate), client.Kwarg("index", 0))
		return client.Chord([]protocol.Signature{sig}, list), nil
	case protocol.SubtaskChain:
		steps, err := signatures(sig.Kwargs, "tasks")
		for i := range steps {
			if i == len(steps)-1 && err == nil {
				steps[i], err = gathered(steps[i], nested)
			}
			steps[i] = client.With(steps[i], nested)
		}
		return client.With(sig, client.Kwarg("tasks", steps)), err
	}
	return sig, nil
}

// signatures reads a member that holds one signature or a list of them, as they
// stand in Go or on the wire. The list is the caller's.
func signatures(o protocol.Object, name string) ([]protocol.Signature, error) {
	v, _ := o.Get(name)
	raw, err := protocol.Marshal(v)
	if err != nil || string(raw) == "null" {
		return nil, err
	}
	parts := []protocol.Raw{raw}
	if raw[0] == '[' {
		if parts, err = protocol.SplitArray(raw); err != nil {
			return nil, err
		}
	}
	out := make([]protocol.Signature, len(parts))
	for i, p := range parts {
		if out[i], err = protocol.DecodeSignature(p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}
