package client

import (
	"context"

	"github.com/umbel-go/umbel/protocol"
)

// Parent is the running task that a signature is applied from.
type Parent struct {
	RootID, ID string
	// ReplyTo makes the results of what follows the task go to whoever waits
	// for its own.
	ReplyTo string
	// Sent, unless nil, is told of everything that is sent under WithParent and
	// is to be the task's child.
	Sent func(protocol.Tuple)
}

type parentKey struct{}

// WithParent makes what is sent with the context children of a running task, as
// in Python everything is that a task sends.
func WithParent(ctx context.Context, p Parent) context.Context {
	return context.WithValue(ctx, parentKey{}, p)
}

func parentOf(ctx context.Context) Parent {
	p, _ := ctx.Value(parentKey{}).(Parent)
	return p
}

// sent reports a child, unless its option add_to_parent is false.
func (p Parent) sent(sig protocol.Signature, t protocol.Tuple) {
	if p.Sent == nil {
		return
	}
	if add, _ := sig.Options.Get("add_to_parent"); add != false {
		p.Sent(t)
	}
}
