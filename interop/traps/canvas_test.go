package traps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// canvasTasks are what the chains and chords below are made of.
func canvasTasks(w *worker.Worker) {
	echo(w)
	worker.Must(worker.Func(w, "go.append", func(_ context.Context, text, more string) (string, error) { return text + more, nil }))
	worker.Must(worker.Func(w, "go.total", func(_ context.Context, numbers []int) (int, error) {
		total := 0
		for _, n := range numbers {
			total += n
		}
		return total, nil
	}))
	worker.Must(worker.Raw(w, "go.fail", func(context.Context, *worker.Task) (any, error) { return nil, errors.New("failed") }))
}

// The steps of a chain travel in reverse, the next one last: a worker that takes
// the first runs the chain from its end.
func TestTrap03ChainsAreReversed(t *testing.T) {
	s := onRedis(t)
	const steps = `
step = lambda *args: signature("go.append", args=args, app=app, queue=queue)
sent = chain(step("", "a"), step("b"), step("c"), step("d")).apply_async()
`
	s.python(t, nil, steps, map[string]any{"queue": "look"})
	task := taskOf(t, claim(t, s.consumer(t, "look")))
	chain, err := protocol.Marshal(task.Chain)
	if err != nil || len(task.Chain) != 3 || fmt.Sprintf("%s %s", task.Chain[2].Args, task.Chain[0].Args) != `["b"] ["d"]` {
		t.Errorf("chain %s, %v", chain, err)
	}
	s.worker(t, canvasTasks)
	var got string
	s.python(t, &got, steps+`result = sent.get(timeout=20)`, map[string]any{"queue": "go"})
	if got != "abcd" {
		t.Errorf("the chain gave %q", got)
	}
}

// A chord is joined by counting: its size lies under .s, 5.7 counts each part
// once by "id:index" in .d, and the claim .c of a former run under the same
// group id, which stays for minutes, must be gone before the first part ends.
func TestTrap15ChordSizeAndClaim(t *testing.T) {
	s := besidePython(t)
	conn := s.redis(t)
	s.worker(t, canvasTasks)
	const group = "celery-taskset-meta-trap-15"
	_, err := conn.Do("SET", group+".c", "done", "EX", 60)
	must(t, err)
	header := client.With(client.Group(
		client.With(client.Task("go.echo", 1), client.ID("part-0")),
		client.With(client.Task("go.echo", 2), client.Queue("later")),
	), client.ID("trap-15"))
	r := send(t, s.client(t), client.Chain(header, client.Task("go.total")))
	eventually(t, "the first part is not counted", func() bool {
		parts, err := redis.Strings(conn.Do("SMEMBERS", group+".d"))
		return err == nil && slices.Equal(parts, []string{"part-0:0"})
	})
	if size, err := redis.Int(conn.Do("GET", group+".s")); err != nil || size != 2 {
		t.Errorf("size %d, %v", size, err)
	}
	if n, err := redis.Int(conn.Do("EXISTS", group+".c")); err != nil || n != 0 {
		t.Errorf("the former claim is still there, %v", err)
	}
	must(t, s.client(t).Broadcast(t.Context(), "add_consumer", protocol.Object{{Name: "queue", Value: "later"}}, "go@traps"))
	var total int
	if err := get(t, r, &total); err != nil || total != 3 {
		t.Errorf("the chord gave %d, %v", total, err)
	}
	s.python(t, &total, `
part = lambda name, queue, x: signature(name, args=[x], app=app, queue=queue)
body = signature("go.total", app=app, queue="go")
result = chord([part("go.echo", "go", 10), part("py.echo", "py", 20)], body).apply_async().get(timeout=20)`, nil)
	if total != 30 {
		t.Errorf("a chord of Go's and Python's parts gave %d", total)
	}
}

// A member of a chord's header that fails, is revoked or stores no result must
// be counted all the same, or the body waits for ever.
func TestTrap16EveryHeaderTaskCounts(t *testing.T) {
	s := onRedis(t)
	s.worker(t, canvasTasks)
	c := s.client(t)
	one := client.Task("go.echo", 1)
	for name, odd := range map[string]protocol.Signature{
		"failed":  client.Task("go.fail"),
		"expired": client.With(client.Task("go.echo", 2), client.Expires(time.Now().Add(-time.Minute))),
	} {
		var e *client.TaskError
		r := send(t, c, client.Chord([]protocol.Signature{one, odd}, client.Task("go.total")))
		if err := get(t, r, nil); !errors.As(err, &e) || e.Exception.Type != "ChordError" {
			t.Errorf("%s: the body ended with %v", name, err)
		}
	}
	ignored := client.With(client.Task("go.echo", 2), client.IgnoreResult())
	var total int
	r := send(t, c, client.Chord([]protocol.Signature{one, ignored}, client.Task("go.total")))
	if err := get(t, r, &total); err != nil || total != 3 {
		t.Errorf("ignored result: the body gave %d, %v", total, err)
	}
}

// A retry is the same task again: it keeps its id, takes itself as its parent if
// it had none, and goes to the queue that its routing key names when its
// exchange was the default one.
func TestTrap24RetriesKeepTheirID(t *testing.T) {
	s := onRedis(t)
	runs := make(chan *worker.Task, 2)
	s.worker(t, func(w *worker.Worker) {
		worker.Must(worker.Raw(w, "go.flaky", func(_ context.Context, t *worker.Task) (any, error) {
			runs <- t
			if t.Retries == 0 {
				return nil, worker.Retry(errors.New("not yet"), 20*time.Millisecond)
			}
			return 1, nil
		}))
	})
	s.python(t, nil, `assert app.send_task("go.flaky", ["x"], {"k": 1}, queue="go").get(timeout=20) == 1`, nil)
	first, second := <-runs, <-runs
	if first.ParentID != "" || second.ID != first.ID || second.ParentID != first.ID || second.RootID != first.RootID {
		t.Errorf("first %s of %q, then %s of %q", first.ID, first.ParentID, second.ID, second.ParentID)
	}
	if second.Retries != 1 || second.Queue != "go" || second.ArgsRepr != first.ArgsRepr || len(second.Kwargs) != 1 {
		t.Errorf("the retry is %+v", second.Task)
	}
}

// Callbacks and the next step of a chain are sent before SUCCESS is stored: who
// reads the result may look for what follows from it.
func TestTrap25FollowersComeBeforeSuccess(t *testing.T) {
	s := onRedis(t)
	conn := s.redis(t)
	s.worker(t, echo)
	psc := redis.PubSubConn{Conn: s.redis(t)}
	must(t, psc.Subscribe("celery-task-meta-trap-25"))
	psc.ReceiveWithTimeout(patience) // the subscription
	after := client.With(client.Task("t"), client.Queue("after"))
	send(t, s.client(t), client.Chain(client.With(client.Task("go.echo", 1), client.ID("trap-25"), client.Link(after)), after))
	awaitResult(t, psc)
	if n, err := redis.Int(conn.Do("LLEN", "after")); err != nil || n != 2 {
		t.Errorf("%d followers were sent before the result, %v; want 2", n, err)
	}
}

// Python calls an errback with two parameters or more inside the worker where
// the task failed, and sends any other, and every one that it does not register,
// with the id of the failed task as the only argument.
func TestTrap26ErrbacksGetTheFailedID(t *testing.T) {
	s := besidePython(t)
	failed := make(chan *worker.Task, 1)
	s.worker(t, func(w *worker.Worker) {
		canvasTasks(w)
		worker.Must(worker.Raw(w, "go.errback", func(_ context.Context, t *worker.Task) (any, error) {
			failed <- t
			return nil, nil
		}))
	})
	var inline string
	s.python(t, &inline, `
r = app.send_task("py.fail", ["boom"], queue="py", link_error=[signature("py.errback", app=app), signature("go.errback", app=app, queue="go")])
r.get(timeout=20, propagate=False)
result = r.id`, nil)
	select {
	case task := <-failed:
		if len(task.Args) != 1 || string(task.Args[0]) != `"`+inline+`"` || task.ParentID != inline {
			t.Errorf("Python's failure %s reached us as %s of %s", inline, task.Args, task.ParentID)
		}
	case <-time.After(patience):
		t.Error("Python's failure did not reach us")
	}
	called := func(id, want string) {
		t.Helper()
		eventually(t, "Python's errback for "+id+" was not called", func() bool {
			got, err := redis.String(s.redis(t).Do("GET", "errback:"+id))
			return err == nil && got == want
		})
	}
	called(inline, "ValueError('boom')")
	r := send(t, s.client(t), client.Task("go.fail"), client.LinkError(client.With(client.Task("py.errback.old"), client.Queue("py"))))
	called(r.ID, "by message")
}

// An immutable signature ignores its parent's result, and what a signature has
// as group_id and stamps is not overridden when it is applied.
func TestTrap27ImmutableMeansWhatItSays(t *testing.T) {
	s := onRedis(t)
	s.worker(t, canvasTasks)
	c := s.client(t)
	var got string
	r := send(t, c, client.Chain(client.Task("go.echo", "a"), client.With(client.Task("go.append", "b", "c"), client.Immutable())))
	if err := get(t, r, &got); err != nil || got != "bc" {
		t.Errorf("got %q, %v", got, err)
	}
	sig := client.With(client.Task("t"), client.Set("group_id", "g"), client.Set("stamped_headers", []any{"k"}), client.Set("k", "v"))
	plan, err := c.Plan(sig, nil, protocol.Object{{Name: "group_id", Value: "other"}, {Name: "k", Value: "w"}}, client.Parent{})
	must(t, err)
	task := plan.Sends[0].Task
	if stamp, _ := task.Stamps.Get("k"); task.Group != "g" || stamp != "v" {
		t.Errorf("group %s, stamps %v", task.Group, task.Stamps)
	}
}
