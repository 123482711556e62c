package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// A task that is not registered here may belong to a Python worker on the same
// queue: it is handed back by parking it, and only when nobody registers it
// does it get Celery's fate.

const (
	// foreignFresh is how long an answer to "who registers what" is used
	// without asking again.
	foreignFresh = 10 * time.Second
	// foreignMemory is how long a node that has stopped answering still counts:
	// a busy solo worker cannot answer while it works.
	foreignMemory = 10 * time.Minute
	// foreignRounds is how many rounds of asking a name must be missing from
	// before it counts as registered nowhere.
	foreignRounds = 2

	foreignPause    = 500 * time.Millisecond // between rounds, and the first delay
	foreignMaxDelay = 5 * time.Second

	// courtesyFirst and courtesyMax are the pause before the next claim after
	// one foreign task, and after many in a row: in it the workers whose tasks
	// they are take the rest, which we would only carry to and fro.
	courtesyFirst   = 5 * time.Millisecond
	courtesyMax     = 250 * time.Millisecond
	foreignTries    = 3      // so often a task is handed back without a delay
	foreignTracked  = 10_000 // message ids whose delay we remember
	strangersAdvice = 20     // foreign tasks in a row that are worth a line in the log
)

// courtesy is the pause that a worker owes after n foreign tasks in a row.
func courtesy(n int64) time.Duration {
	if n <= 0 {
		return 0
	}
	return min(courtesyFirst<<min(n-1, 10), courtesyMax)
}

// foreign knows which tasks other nodes register. It is safe for concurrent
// use; one goroutine asks.
type foreign struct {
	self string // our node name
	ask  func(context.Context) (map[string]protocol.Raw, error)
	log  *slog.Logger
	now  func() time.Time

	mu     sync.Mutex // guards the rest
	nodes  map[string]nodeTasks
	asked  time.Time      // end of the last successful round
	absent map[string]int // rounds in which a wanted name was registered nowhere
	parks  map[string]int // task id -> how often we handed it back
	want   chan struct{}
}

type nodeTasks struct {
	names map[string]bool
	seen  time.Time
}

func newForeign(self string, log *slog.Logger, ask func(context.Context) (map[string]protocol.Raw, error)) *foreign {
	return &foreign{
		self: self, ask: ask, log: log, now: time.Now, nodes: map[string]nodeTasks{}, absent: map[string]int{},
		parks: map[string]int{}, want: make(chan struct{}, 1),
	}
}

// run asks when somebody wants to know, one round at a time.
func (f *foreign) run(ctx context.Context) {
	for {
		select {
		case <-f.want:
		case <-ctx.Done():
			return
		}
		replies, err := f.ask(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.Warn("cannot ask which tasks other workers register; unknown tasks are handed back meanwhile", "error", err)
			continue
		}
		f.learn(replies)
	}
}

// learn takes the answers of one round. A round in which we did not even hear
// ourselves proves nothing about the others.
func (f *foreign) learn(replies map[string]protocol.Raw) {
	if _, heard := replies[f.self]; !heard {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now().Sub(f.asked) > foreignFresh {
		clear(f.absent) // rounds count only when they follow each other
	}
	f.asked = f.now()
	for node, raw := range replies {
		list, err := protocol.RegisteredNames(raw)
		if err != nil {
			continue // an error reply
		}
		names := make(map[string]bool, len(list))
		for _, name := range list {
			names[name] = true
		}
		f.nodes[node] = nodeTasks{names: names, seen: f.asked}
	}
	for name := range f.absent {
		if f.registered(name) {
			delete(f.absent, name)
		} else {
			f.absent[name]++
		}
	}
}

func (f *foreign) registered(name string) bool {
	for node, n := range f.nodes {
		if f.now().Sub(n.seen) > foreignMemory {
			delete(f.nodes, node)
			continue
		}
		if n.names[name] {
			return true
		}
	}
	return false
}

// consult says whether a task is to be handed back and for how long. A false
// answer means that nobody registers it; a delay of 0, that those who do should
// have it at once.
func (f *foreign) consult(name, id string) (handBack bool, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.registered(name)
	fresh := f.now().Sub(f.asked) < foreignFresh
	if !known && f.absent[name] >= foreignRounds && fresh {
		delete(f.parks, id)
		return false, 0
	}
	if !known || !fresh {
		if _, tracked := f.absent[name]; !tracked && !known {
			forgetOne(f.absent)
			f.absent[name] = 0
		}
		select {
		case f.want <- struct{}{}:
		default:
		}
	}
	if !known { // undecided: look again after the round that was just asked for
		return true, foreignPause
	}
	n := f.parks[id]
	if n == 0 {
		forgetOne(f.parks)
	}
	f.parks[id] = n + 1
	if n < foreignTries {
		return true, 0
	}
	return true, min(foreignPause<<min(n-foreignTries, 10), foreignMaxDelay)
}

// forgetOne makes room in a full map: any entry will do, it only starts anew.
func forgetOne(m map[string]int) {
	if len(m) < foreignTracked {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// handleForeign gives an unknown task back, or fails it where nobody knows it.
func (w *Worker) handleForeign(d broker.Delivery, t *protocol.Task) {
	back, delay := w.foreign.consult(t.Name, t.ID)
	if back {
		n := w.strangers.Add(1)
		if n == strangersAdvice {
			w.log.Warn("this queue brings many tasks that only other workers register; give them, or us, a queue of their own",
				"queue", d.Queue(), "task", t.Name)
		}
		w.log.Debug("task is not registered here, handed back", "task", t.Name, "id", t.ID, "for", delay)
		w.move("hand back a foreign task", d, t, func(ctx context.Context) error { return w.handBack(ctx, d, n, delay) })
		return
	}
	w.log.Error("unregistered task: no live worker knows it; it is kept in the dead-letter place",
		"task", t.Name, "id", t.ID, "queue", d.Queue())
	w.failUnrun(t, protocol.NotRegistered(t.Name))
	w.move("move to the dead-letter place", d, t, func(ctx context.Context) error {
		return d.Dead(ctx, "NotRegistered: no live worker knows task "+t.Name)
	})
}

// yielder is a consumer that can leave its queues to other workers for a while,
// what it has prefetched included.
type yielder interface {
	Yield(ctx context.Context, d time.Duration) error
}

// handBack gives a foreign task, the nth in a row, to other workers: at once where
// we can stand aside, or else by parking it: it would come straight back.
func (w *Worker) handBack(ctx context.Context, d broker.Delivery, n int64, delay time.Duration) error {
	if c := w.consumer.Load(); delay == 0 && c != nil {
		if y, ok := (*c).(yielder); ok {
			err := y.Yield(ctx, courtesy(n))
			if err == nil {
				return d.Return(ctx)
			}
			w.log.Warn("cannot stand aside for other workers, parking their task", "queue", d.Queue(), "error", err)
		}
	}
	return d.Park(ctx, time.Now().Add(max(delay, foreignPause)))
}
