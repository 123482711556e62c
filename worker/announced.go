package worker

import "sync"

// announcedMax bounds the memory of announced tasks; beyond it a task-received
// event may be sent twice, which monitors merge.
const announcedMax = 10_000

// announced remembers the tasks whose task-received event went out before they
// were parked, so that it is not sent again when they are due. It is safe for
// concurrent use.
type announced struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (a *announced) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ids == nil {
		a.ids = map[string]struct{}{}
	}
	if len(a.ids) < announcedMax {
		a.ids[id] = struct{}{}
	}
}

// take forgets an id and reports whether it was there.
func (a *announced) take(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.ids[id]
	delete(a.ids, id)
	return ok
}
