package worker

import (
	"slices"
	"sync"

	"github.com/umbel-go/umbel/protocol"
)

// trail collects the result tuples of what a task sends; Celery stores them as
// its children. It is safe for concurrent use: a handler may send from several
// goroutines, and an abandoned one while its outcome is settled.
type trail struct {
	mu       sync.Mutex
	children []protocol.Raw
}

// add notes what was sent: of a chain the first step, of a chord the header. The
// rest are its children's children.
func (l *trail) add(t protocol.Tuple) {
	for t.Parent != nil {
		t = *t.Parent
	}
	l.mu.Lock()
	l.children = append(l.children, t.Raw())
	l.mu.Unlock()
}

func (l *trail) list() []protocol.Raw {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.children)
}
