package interop

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// bulkTimeout bounds one bulk run.
const bulkTimeout = 4 * time.Minute

// bulkSize is how many messages a bulk run has.
func bulkSize() int {
	if testenv.Full() {
		return 10_000
	}
	return 1_000
}

// fleet is a Go and a Python worker that share the queue both, and what each
// of them ran.
type fleet struct {
	here   *ledger
	there  string // file of the ids that Python ran
	client *client.Client
}

func openFleet(t *testing.T, s stage, kind string) *fleet {
	t.Helper()
	f := &fleet{here: &ledger{ran: map[string]int{}}, there: filepath.Join(t.TempDir(), "ran")}
	celery, cfg := suiteCelery(s, "celery57", "RAN="+f.there), goConfig()
	if kind != "" {
		celery.Env = append(celery.Env, "TYPED="+kind)
		celery.Args = []string{"-c", "2", "-n", pyNode, "-Q", "typed"}
		cfg.Queues = []broker.Queue{typed(kind)}
	}
	testenv.StartCelery(t, celery)
	startWorker(t, s, cfg, suiteTasks(f.here))
	f.client = sideClient(t, s)
	return f
}

// onceEach checks that every task ran once, on one side or the other, and that
// each side had its share.
func (f *fleet) onceEach(t *testing.T, ids []string) {
	t.Helper()
	ran, there := map[string]int{}, readLines(t, f.there)
	f.here.mu.Lock()
	here := len(f.here.ran)
	for id, n := range f.here.ran {
		ran[id] += n
	}
	f.here.mu.Unlock()
	for _, id := range there {
		ran[id]++
	}
	t.Logf("Go ran %d, Python %d", here, len(there))
	if here == 0 || len(there) == 0 {
		t.Error("one side took nothing")
	}
	for _, id := range ids {
		if n := ran[id]; n != 1 {
			t.Errorf("task %s ran %d times", id, n)
		}
	}
	if len(ran) != len(ids) {
		t.Errorf("%d different tasks ran, want %d", len(ran), len(ids))
	}
}

// send publishes marks with numbers from 0 on and returns the task ids.
func (f *fleet) send(ctx context.Context, t *testing.T, count int, opts func(i int) []client.Option) []string {
	t.Helper()
	sigs := make([]protocol.Signature, count)
	for i := range sigs {
		sigs[i] = client.With(client.Task("both.mark", i), opts(i)...)
	}
	results, err := f.client.SendAll(ctx, sigs...)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, count)
	for i, r := range results {
		ids[i] = r.ID
	}
	var values []int
	if err := client.GetAll(ctx, &values, results...); err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		if v != i {
			t.Fatalf("task %d gave %d", i, v)
		}
	}
	return ids
}

// Thousands of messages of all priorities, on every broker, are shared by a Go
// and a Python worker: nothing is lost or doubled, every result is right.
func TestBulk(t *testing.T) {
	for name, open := range stages {
		t.Run(name, func(t *testing.T) {
			f := openFleet(t, open(t), "")
			ctx, cancel := context.WithTimeout(t.Context(), bulkTimeout)
			defer cancel()
			f.onceEach(t, f.send(ctx, t, bulkSize(), func(i int) []client.Option {
				return []client.Option{client.Priority(i % 10)}
			}))
		})
	}
}

// The same holds for a quorum queue.
func TestBulkQuorumQueue(t *testing.T) {
	f := openFleet(t, stages[onAMQPAndRedis](t), "quorum")
	ctx, cancel := context.WithTimeout(t.Context(), bulkTimeout)
	defer cancel()
	f.onceEach(t, f.send(ctx, t, bulkSize(), func(int) []client.Option {
		return []client.Option{client.Exchange("typed", "typed")}
	}))
}

// A chord whose header both workers run fires its body once, with every result
// in order, whoever runs the body.
func TestBulkChord(t *testing.T) {
	size := 100
	if testenv.Full() {
		size = 1_000
	}
	for _, name := range []string{onRedis, onAMQPAndRedis} {
		for _, body := range []string{"go.echo", "py.echo"} {
			t.Run(fmt.Sprint(name, "/", body), func(t *testing.T) {
				f := openFleet(t, stages[name](t), "")
				ctx, cancel := context.WithTimeout(t.Context(), bulkTimeout)
				defer cancel()
				header, ids := make([]protocol.Signature, size), make([]string, size)
				for i := range header {
					ids[i] = fmt.Sprintf("part-%d", i)
					header[i] = client.With(client.Task("both.mark", i), client.ID(ids[i]))
				}
				result, err := f.client.Send(ctx, client.Chord(header, client.Task(body)))
				if err != nil {
					t.Fatal(err)
				}
				var parts []int
				if err := result.Get(ctx, &parts); err != nil {
					t.Fatal(err)
				}
				for i, v := range parts {
					if v != i {
						t.Fatalf("part %d is %d", i, v)
					}
				}
				if len(parts) != size {
					t.Errorf("the body got %d parts", len(parts))
				}
				f.onceEach(t, ids)
			})
		}
	}
}
