package redis_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

// holderVar makes this test program a worker that claims one message and never
// settles it, to be killed.
const holderVar = "UMBEL_TEST_HOLD"

// atOnce is how many tests may run at once: most of their time they wait for
// leases, due times and Python, and need no processor.
const atOnce = "3"

func TestMain(m *testing.M) {
	if url := os.Getenv(holderVar); url != "" {
		hold(url)
	}
	if err := flag.Set("test.parallel", atOnce); err != nil { // -parallel on the command line still wins
		panic(err)
	}
	os.Exit(m.Run())
}

func hold(url string) {
	b, err := redis.New(redis.Config{URL: url})
	if err == nil {
		var c broker.Consumer
		if c, err = b.Consume(context.Background(), broker.ConsumeOptions{Worker: "victim@go", Queues: []broker.Queue{{Name: "celery"}}}); err == nil {
			if _, err = c.Claim(context.Background(), 1); err == nil {
				fmt.Println("holding")
				select {}
			}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestPythonRescuesAKilledGoWorker leaves the message to Python alone.
func TestPythonRescuesAKilledGoWorker(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	sendPython(t, b, 0, "victim")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderVar+"="+url)
	victim := testenv.Start(t, cmd)
	victim.WaitLine("holding", 20*time.Second)
	worker := pythonWorker(t, url, 3)
	victim.Kill()
	worker.WaitLine("start victim redelivered True", 30*time.Second)
	worker.WaitLine("end victim", 10*time.Second)
}

// TestGoRescuesAKilledPythonWorker has a Python worker with early
// acknowledgements off die in its task; our sweep uses the same small timeout.
func TestGoRescuesAKilledPythonWorker(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	worker := pythonWorker(t, url, 2)
	b := open(t, redis.Config{URL: url, VisibilityTimeout: 2 * time.Second})
	defer b.Close()
	put(t, b, "celery.other", 0, "other")
	sendPython(t, b, 60, "long")
	worker.WaitLine("start long", 20*time.Second)
	worker.Kill()
	raw := texts(t, url, "HVALS", "unacked")
	if len(raw) != 1 {
		t.Fatalf("Python left %q in unacked", raw)
	}
	c := consumeCelery(t, b, 1)
	d := claimOne(t, c, 30*time.Second)
	if nameOf(d) != "long" || !d.Redelivered() {
		t.Errorf("got %q, redelivered %v", nameOf(d), d.Redelivered())
	}
	if again, _ := d.Message().Headers.Get("redelivered"); again != true {
		t.Errorf("header redelivered is %v", again)
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPythonNeverStealsOurs runs a Go task four times as long as the visibility
// timeout of the Python worker beside it, with a message parked for as long.
func TestPythonNeverStealsOurs(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	const visibility, runs = 2, 8 * time.Second
	worker := pythonWorker(t, url, visibility)
	b := open(t, redis.Config{URL: url, VisibilityTimeout: visibility * time.Second})
	defer b.Close()
	put(t, b, "go", 0, "task", "parked")
	c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "go@test", Queues: []broker.Queue{{Name: "go"}}, Prefetch: 2})
	if err != nil {
		t.Fatal(err)
	}
	ds := claimAll(t, c, 2)
	due := time.Now().Add(runs)
	if err := ds[1].Park(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	sendPython(t, b, 0, "beside")
	worker.WaitLine("end beside", 20*time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), due.Add(-500*time.Millisecond))
	defer cancel()
	if got, err := c.Claim(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("claimed %d, %v, while one runs and one is parked", len(got), err)
	}
	select {
	case <-ds[0].Lost():
		t.Error("the running task was taken away")
	default:
	}
	if err := ds[0].Ack(t.Context()); err != nil {
		t.Errorf("ack after the task: %v", err)
	}
	d := claimOne(t, c, 5*time.Second)
	if idOf(d) != "parked" || d.Redelivered() || time.Now().Before(due.Add(-100*time.Millisecond)) {
		t.Errorf("got %s, redelivered %v, %v after it was due", idOf(d), d.Redelivered(), time.Since(due))
	}
}

// TestSlowAckHurtsNobody acknowledges a message after somebody else took it over,
// in both directions: neither record of the new holder may go with it.
func TestSlowAckHurtsNobody(t *testing.T) {
	t.Parallel()
	testenv.Python(t, python)
	url := testenv.Redis(t)
	worker := pythonWorker(t, url, 3600)
	b := open(t, redis.Config{URL: url, VisibilityTimeout: time.Second, Lease: testLease})
	defer b.Close()
	sendPython(t, b, 4, "slow")
	worker.WaitLine("start slow", 20*time.Second)
	c := consumeCelery(t, b, 1)
	ours := claimOne(t, c, 10*time.Second)
	if nameOf(ours) != "slow" || !ours.Redelivered() {
		t.Fatalf("took over %q, redelivered %v", nameOf(ours), ours.Redelivered())
	}
	worker.WaitLine("end slow", 20*time.Second)
	sendPython(t, b, 20, "next")
	worker.WaitLine("start next", 20*time.Second) // Python acknowledged before it took this one
	if tags := texts(t, url, "HKEYS", "unacked"); !slices.ContainsFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, "go@test:") }) {
		t.Errorf("Python's late acknowledgement took our record: %q", tags)
	}
	if err := ours.Ack(t.Context()); err != nil {
		t.Errorf("ack: %v", err)
	}
	// Now ours is the slow one: its claim goes back and Python takes it.
	sendPython(t, b, 0, "ours")
	ours = claimOne(t, c, 10*time.Second)
	record := texts(t, url, "HMGET", "unacked", tagOf(t, url))[0]
	do(t, url, "HDEL", "unacked", tagOf(t, url))
	do(t, url, "HSET", "unacked", "new holder", record)
	if err := ours.Ack(t.Context()); !errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("late ack: %v, want ErrClaimLost", err)
	}
	if n, _ := redigo.Int(do(t, url, "HEXISTS", "unacked", "new holder"), nil); n != 1 {
		t.Error("our late acknowledgement took the new holder's record")
	}
}

// tagOf is the tag of the only claim of ours.
func tagOf(t *testing.T, url string) string {
	t.Helper()
	for _, tag := range texts(t, url, "HKEYS", "unacked") {
		if strings.HasPrefix(tag, "go@test:") {
			return tag
		}
	}
	t.Fatal("no claim of ours")
	return ""
}

// TestEndsOfTheList holds to where kombu puts messages back.
func TestEndsOfTheList(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	put(t, b, "celery", 0, "first", "second", "third")
	c := consumeCelery(t, b, 3)
	ds := claimAll(t, c, 2)
	if err := errors.Join(ds[0].Reject(t.Context(), true), ds[1].Return(t.Context())); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"second", "third", "first"} {
		d := claimOne(t, c, time.Second)
		info := texts(t, url, "HVALS", "unacked")
		marked := strings.Count(info[len(info)-1], `"redelivered": true`)
		if idOf(d) != want || d.Redelivered() != (want != "third") || marked != map[bool]int{true: 2}[d.Redelivered()] {
			t.Errorf("place %d: %s, redelivered %v with %d marks; want %s", i, idOf(d), d.Redelivered(), marked, want)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestSameTagTwice claims two messages that a producer gave one delivery tag: the
// second record of a Python worker would overwrite the first.
func TestSameTagTwice(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	put(t, b, "celery", 0, "a")
	element := texts(t, url, "LRANGE", "celery", 0, 0)[0]
	do(t, url, "LPUSH", "celery", element)
	c := consumeCelery(t, b, 2)
	ds := claimAll(t, c, 2)
	if n, _ := redigo.Int(do(t, url, "HLEN", "unacked"), nil); n != 2 {
		t.Errorf("%d records of two claims", n)
	}
	for _, d := range ds {
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
