package dag

import (
	"fmt"
	"time"
)

// Builder makes a [Definition] in Go. Errors are kept until Build.
type Builder struct {
	def  Definition
	errs Problems
}

// New starts a definition.
func New(name string) *Builder { return &Builder{def: Definition{Name: name}} }

// NodeOption sets a field of a node.
type NodeOption func(*Node) error

// Args are the positional arguments of the task.
func Args(args ...any) NodeOption {
	return func(n *Node) error {
		for i, a := range args {
			v, err := ValueOf(a)
			if err != nil {
				return fmt.Errorf("argument %d: %w", i, err)
			}
			n.Args = append(n.Args, v)
		}
		return nil
	}
}

// Kwargs are the keyword arguments of the task: a map, a struct with JSON tags or
// a protocol.Object.
func Kwargs(kwargs any) NodeOption {
	return func(n *Node) (err error) {
		n.Kwargs, err = ValueOf(kwargs)
		return err
	}
}

// After adds dependencies.
func After(nodes ...string) NodeOption {
	return func(n *Node) error { n.DependsOn = append(n.DependsOn, nodes...); return nil }
}

// Retry gives a failed node n further attempts, each after delay.
func Retry(n int, delay time.Duration) NodeOption {
	return func(node *Node) error { node.Retries, node.RetryDelay = n, Duration(delay); return nil }
}

// Timeout is the hard time limit of one attempt.
func Timeout(d time.Duration) NodeOption {
	return func(n *Node) error { n.Timeout = Duration(d); return nil }
}

// OnQueue sends the node's task to a queue.
func OnQueue(name string) NodeOption {
	return func(n *Node) error { n.Queue = name; return nil }
}

// Requires names keyword arguments that are collected at run time.
func Requires(names ...string) NodeOption {
	return func(n *Node) error { n.Requires = append(n.Requires, names...); return nil }
}

// Provides names members that the node's reply must have.
func Provides(names ...string) NodeOption {
	return func(n *Node) error { n.Provides = append(n.Provides, names...); return nil }
}

// Save makes the node's reply the result of the run.
func Save() NodeOption {
	return func(n *Node) error { n.IsSave = true; return nil }
}

// Node adds a node that calls a Celery task.
func (b *Builder) Node(name, task string, opts ...NodeOption) *Builder {
	n := Node{Name: name, Task: task}
	for _, opt := range opts {
		if err := opt(&n); err != nil {
			b.errs = append(b.errs, Problem{Field: "nodes." + name, Text: err.Error()})
		}
	}
	b.def.Nodes = append(b.def.Nodes, n)
	return b
}

// Input declares a value that a run may be started with.
func (b *Builder) Input(name string, in Input) *Builder {
	if b.def.Inputs == nil {
		b.def.Inputs = map[string]Input{}
	}
	b.def.Inputs[name] = in
	return b
}

// Queue is the queue of nodes that name none.
func (b *Builder) Queue(name string) *Builder { b.def.Queue = name; return b }

// Describe sets the text that pages show.
func (b *Builder) Describe(text string) *Builder { b.def.Description = text; return b }

// Timeout ends a run that is not over in time.
func (b *Builder) Timeout(d time.Duration) *Builder { b.def.Timeout = Duration(d); return b }

// FailFast releases no further node once one has failed.
func (b *Builder) FailFast() *Builder { b.def.FailFast = true; return b }

// Reply sets how task results are read, see [Definition.Reply].
func (b *Builder) Reply(dialect string) *Builder { b.def.Reply = dialect; return b }

// Build validates and returns the definition. The error is [Problems].
func (b *Builder) Build() (*Definition, error) {
	if len(b.errs) > 0 {
		return nil, b.errs
	}
	def := b.def
	if err := def.Validate(); err != nil {
		return nil, err
	}
	return &def, nil
}
