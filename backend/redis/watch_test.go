package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

func watching(t *testing.T, b *redis.Backend, ids ...string) backend.Watch {
	t.Helper()
	w, err := b.Watch(bounded(t), ids...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// until reads results up to one with the value.
func until(t *testing.T, w backend.Watch, value string) (seen int) {
	t.Helper()
	ctx := bounded(t)
	for {
		r, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("after %d results: %v", seen, err)
		}
		seen++
		if string(r.Value) == value {
			return seen
		}
	}
}

// subscribers counts the channel's subscribers.
func subscribers(look raw, id string) error {
	reply := look.do("PUBSUB", "NUMSUB", "celery-task-meta-"+id).([]any)
	if n := reply[1].(int64); n != 1 {
		return fmt.Errorf("%d subscribers of %s", n, id)
	}
	return nil
}

func TestWatchSurvivesLostConnections(t *testing.T) {
	server := testenv.RedisServer(t)
	writer, reader := open(t, redis.Config{URL: server.URL}), open(t, redis.Config{URL: server.URL})
	look := dial(t, server.URL)
	ids := make([]string, 300)
	for i := range ids {
		ids[i] = fmt.Sprintf("r%d", i)
	}
	w := watching(t, reader, ids...)
	done := make(chan int, 1)
	go func() {
		ready := map[string]bool{}
		for len(ready) < len(ids) {
			r, err := w.Next(t.Context())
			if err != nil {
				t.Errorf("next: %v", err)
				break
			}
			ready[r.TaskID] = true
		}
		done <- len(ready)
	}()
	for i, id := range ids {
		if i%50 == 25 { // the subscriber is cut off while results are written
			look.do("CLIENT", "KILL", "TYPE", "pubsub")
		}
		put(t, writer, result(id, protocol.StateSuccess, "1"))
	}
	select {
	case n := <-done:
		if n != len(ids) {
			t.Fatalf("%d of %d results arrived", n, len(ids))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("results were lost")
	}
}

func TestWatchSurvivesRestart(t *testing.T) {
	server := testenv.RedisServer(t, "--appendonly", "yes", "--appendfsync", "always")
	b := open(t, redis.Config{URL: server.URL})
	w := watching(t, b, "x")
	put(t, b, result("x", protocol.StateStarted, "1"))
	until(t, w, "1")
	server.Restart()
	testenv.Eventually(t, 20*time.Second, func() error {
		return b.Put(t.Context(), backend.Put{Result: result("x", protocol.StateSuccess, "2")})
	})
	until(t, w, "2")
}

func TestWatchPollsForLostPushes(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url, PollInterval: 20 * time.Millisecond}), dial(t, url)
	w := watching(t, b, "polled")
	look.do("SET", "celery-task-meta-polled", `{"status": "STARTED", "result": 1, "task_id": "polled"}`)
	until(t, w, "1")
	look.do("SET", "celery-task-meta-polled", `{"status": "SUCCESS", "result": 2, "task_id": "polled"}`)
	if n := until(t, w, "2"); n != 1 {
		t.Fatalf("an unchanged value was delivered again: %d results", n)
	}
}

func TestWatchIsBounded(t *testing.T) {
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	id := "bounded-" + t.Name()
	w, behind := watching(t, b, id), watching(t, b, id)
	const last = 500
	for i := range last + 1 {
		put(t, b, result(id, "PROGRESS", fmt.Sprint(i)))
	}
	until(t, w, fmt.Sprint(last)) // so all pushes have been received
	if n := until(t, behind, fmt.Sprint(last)); n > 16 {
		t.Fatalf("%d results were kept for a slow reader", n)
	}
}

// Thousands of ids share one connection, and leave nothing behind.
func TestWatchThousands(t *testing.T) {
	server := testenv.RedisServer(t)
	b, look := open(t, redis.Config{URL: server.URL}), dial(t, server.URL)
	ids := make([]string, 5000)
	for i := range ids {
		ids[i] = fmt.Sprintf("t%d", i)
	}
	w := watching(t, b, ids...)
	channels := func() int { return len(look.do("PUBSUB", "CHANNELS", "*").([]any)) }
	if n := channels(); n != len(ids) {
		t.Errorf("%d channels for %d ids", n, len(ids))
	}
	if clients := look.text("CLIENT", "LIST", "TYPE", "pubsub"); strings.Count(clients, "\n") != 1 {
		t.Errorf("more than one subscriber:\n%s", clients)
	}
	results := make([]backend.Put, len(ids))
	for i, id := range ids {
		results[i].Result = result(id, protocol.StateSuccess, "1")
	}
	if err := b.Put(bounded(t), results...); err != nil {
		t.Fatal(err)
	}
	ctx := bounded(t)
	for range ids {
		if _, err := w.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Remove(ctx, ids[:4000]...); err != nil {
		t.Fatal(err)
	}
	left := func(want int) func() error {
		return func() error {
			if n := channels(); n != want {
				return fmt.Errorf("%d channels are left, want %d", n, want)
			}
			return nil
		}
	}
	testenv.Eventually(t, 10*time.Second, left(1000))
	w.Close()
	testenv.Eventually(t, 10*time.Second, left(0))
}

func TestWatchLeavesChannels(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	one, two := watching(t, b, "left", "kept"), watching(t, b, "left")
	gone := func() error {
		if subscribers(look, "left") == nil {
			return errors.New("still subscribed")
		}
		return subscribers(look, "kept")
	}
	one.Remove(bounded(t), "left")
	if err := subscribers(look, "left"); err != nil {
		t.Fatalf("the other watch lost its channel: %v", err)
	}
	two.Close()
	testenv.Eventually(t, 10*time.Second, gone)
	// Left and entered again, in whatever order the server is told.
	for range 20 {
		again := watching(t, b, "left")
		again.Close()
	}
	again := watching(t, b, "left")
	put(t, b, result("left", protocol.StateSuccess, "1"))
	until(t, again, "1")
}

func TestWatchAnUnreadableResult(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	w := watching(t, b, "bad", "good")
	look.do("PUBLISH", "celery-task-meta-bad", "\x80\x04")
	if _, err := w.Next(bounded(t)); err == nil || !strings.Contains(err.Error(), "result of bad") {
		t.Fatalf("got %v", err)
	}
	put(t, b, result("good", protocol.StateSuccess, "1"))
	until(t, w, "1")
}

func TestWatchEndsWithContext(t *testing.T) {
	server := testenv.RedisServer(t)
	b := open(t, redis.Config{URL: server.URL})
	w := watching(t, b, "x")
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.Add(ctx, "y"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("add: %v", err)
	}
	if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next: %v", err)
	}
	server.Resume()
}

// TestResultWithoutItsID reads what a foreign writer left without task_id: whoever
// waits for it must know whose it is.
func TestResultWithoutItsID(t *testing.T) {
	url := testenv.Redis(t)
	b, look := open(t, redis.Config{URL: url}), dial(t, url)
	look.do("SET", "celery-task-meta-x", `{"status": "SUCCESS", "result": 1}`)
	w, err := b.Watch(bounded(t), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	watched, err := w.Next(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Get(bounded(t), "x")
	if err != nil {
		t.Fatal(err)
	}
	if watched.TaskID != "x" || got.TaskID != "x" {
		t.Errorf("watched as %q, read as %q", watched.TaskID, got.TaskID)
	}
}
