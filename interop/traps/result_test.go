package traps

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// A result needs task_id, status and result, and is both stored with a time to
// live and published on the channel of the same name: Python's get() waits for
// the message and never looks at the key again.
func TestTrap12ResultsAreStoredAndPublished(t *testing.T) {
	s := onRedis(t)
	s.worker(t, echo)
	const key = "celery-task-meta-trap-12"
	psc := redis.PubSubConn{Conn: s.redis(t)}
	must(t, psc.Subscribe(key))
	psc.ReceiveWithTimeout(patience) // the subscription
	send(t, s.client(t), client.Task("go.echo", 5), client.ID("trap-12"))
	published := awaitResult(t, psc)
	stored, err := redis.Bytes(s.redis(t).Do("GET", key))
	if err != nil || !bytes.Equal(stored, published) {
		t.Errorf("stored %s, published %s, %v", stored, published, err)
	}
	o, err := protocol.DecodeObject(stored)
	must(t, err)
	for name, want := range map[string]string{"task_id": `"trap-12"`, "status": `"SUCCESS"`, "result": "5"} {
		v, ok := o.Get(name)
		if got, _ := protocol.Marshal(v); !ok || string(got) != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if ttl, err := redis.Int(s.redis(t).Do("TTL", key)); err != nil || ttl <= 0 {
		t.Errorf("the key lives for %d, %v", ttl, err)
	}
}

// awaitResult returns the first published result that is ready.
func awaitResult(t *testing.T, psc redis.PubSubConn) []byte {
	t.Helper()
	for {
		switch m := psc.ReceiveWithTimeout(patience).(type) {
		case redis.Message:
			if r, err := protocol.DecodeResult(m.Data); err != nil || r.Ready() {
				return m.Data
			}
		case error:
			t.Fatal(m)
		}
	}
}

// A stored SUCCESS is never overwritten, any other state is: a late failure of a
// second run must not take a result back that somebody has acted on.
func TestTrap13SuccessStands(t *testing.T) {
	s := onRedis(t)
	_, results := s.connect(t)
	put := func(id, status, value string) {
		t.Helper()
		must(t, results.Put(t.Context(), backend.Put{Result: &protocol.Result{
			TaskID: id, Status: status, Value: protocol.Raw(value), DateDone: time.Now()}}))
	}
	const failure = `{"exc_type": "ValueError", "exc_message": ["late"], "exc_module": "builtins"}`
	check := func(id, want string) {
		t.Helper()
		if r, err := results.Get(t.Context(), id); err != nil || r.Status != want {
			t.Errorf("%s is %v, %v; want %s", id, r, err, want)
		}
	}
	put("a", protocol.StateSuccess, "1")
	put("a", protocol.StateFailure, failure)
	check("a", protocol.StateSuccess)
	put("b", protocol.StateFailure, failure)
	put("b", protocol.StateSuccess, "1")
	check("b", protocol.StateSuccess)
	s.python(t, nil, `
app.backend.store_result("c", 1, "SUCCESS")
app.backend.store_result("a", ValueError("late"), "FAILURE")`, nil)
	put("c", protocol.StateFailure, failure)
	check("c", protocol.StateSuccess)
	check("a", protocol.StateSuccess)
}

// The result of a FAILURE is an object with exc_type, or null: anything else
// makes Python's get() raise something that has nothing to do with the failure.
func TestTrap14FailuresAreObjects(t *testing.T) {
	s := onRedis(t)
	s.worker(t, func(w *worker.Worker) {
		worker.Must(worker.Raw(w, "go.fail", func(context.Context, *worker.Task) (any, error) {
			return nil, worker.Exception("builtins", "ValueError", "boom", 42)
		}))
	})
	var got string
	s.python(t, &got, `
try:
    app.send_task("go.fail", queue="go").get(timeout=20)
except ValueError as e:
    result = repr(e)`, nil)
	if got != "ValueError('boom', 42)" {
		t.Errorf("Python raised %s", got)
	}
	_, err := s.redis(t).Do("SET", "celery-task-meta-null", `{"status": "FAILURE", "result": null, "traceback": null, "children": [], "task_id": "null"}`)
	must(t, err)
	var failure *client.TaskError
	if err := get(t, s.client(t).Result("null"), nil); !errors.As(err, &failure) || failure.State != protocol.StateFailure {
		t.Errorf("a failure without an exception is %v", err)
	}
}

// Since Celery 5.7 a result may be compressed inside its own key, behind a
// marker, whatever the reader is set to.
func TestTrap34ResultsMayBeCompressed(t *testing.T) {
	s := onRedis(t)
	s.conf = map[string]any{"result_compression": "gzip"}
	c := s.client(t)
	long := string(bytes.Repeat([]byte("long "), 1000))
	s.python(t, nil, `app.backend.store_result("packed", value, "SUCCESS")`, map[string]any{"value": long})
	raw, err := redis.Bytes(s.redis(t).Do("GET", "celery-task-meta-packed"))
	if err != nil || !bytes.HasPrefix(raw, []byte("\x00celery-compressed\x00")) || len(raw) > 1000 {
		t.Fatalf("Python stored %.40q, %v", raw, err)
	}
	var got string
	if err := get(t, c.Result("packed"), &got); err != nil || got != long {
		t.Errorf("got %d characters, %v", len(got), err)
	}
}
