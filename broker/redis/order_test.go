package redis_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

// TestQueueOrder claims in kombu's three orders; a better priority step goes
// before all of them.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	for order, want := range map[redis.QueueOrder][]string{
		redis.RoundRobin: {"first", "b", "a", "c", "b", "a", "c", "b", "a", "c"},
		redis.Sorted:     {"first", "a", "a", "a", "b", "b", "b", "c", "c", "c"},
		redis.Priority:   {"first", "b", "b", "b", "a", "a", "a", "c", "c", "c"},
	} {
		for _, batch := range []int{1, 10} {
			t.Run(fmt.Sprint(order, " ", batch), func(t *testing.T) {
				b := open(t, redis.Config{URL: testenv.Redis(t), QueueOrder: order})
				defer b.Close()
				for _, q := range []string{"a", "b", "c"} {
					put(t, b, q, 3, q, q, q)
				}
				put(t, b, "c", 0, "first")
				c, err := b.Consume(t.Context(), broker.ConsumeOptions{
					Worker: "w", Queues: []broker.Queue{{Name: "b"}, {Name: "a"}, {Name: "c"}}, Prefetch: 10})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for len(got) < 10 {
					ds, err := c.Claim(t.Context(), batch)
					if err != nil {
						t.Fatal(err)
					}
					for _, d := range ds {
						got = append(got, idOf(d))
					}
				}
				if order == redis.RoundRobin { // fair in every batch, whichever begins
					slices.Sort(got[1:4])
					slices.Sort(got[4:7])
					want = []string{"first", "a", "b", "c", "a", "b", "c", "a", "b", "c"}
					if batch > 1 {
						got, want = got[:1], want[:1]
					}
					slices.Sort(got[min(7, len(got)):])
				}
				if !slices.Equal(got, want) {
					t.Errorf("order %v, want %v", got, want)
				}
			})
		}
	}
	for _, bad := range []redis.Config{{QueueOrder: "random"}, {PrioritySteps: []int{3, 6}}, {PrioritySteps: []int{0, 6, 3}}} {
		bad.URL = "redis://h"
		if b, err := redis.New(bad); err == nil {
			b.Close()
			t.Errorf("New(%+v) succeeded", bad)
		}
	}
}

// mark is where a message lies: its queue, step and place in the list.
type mark struct{ queue, step, place int }

// TestVolume has three consumers empty all lists of two queues at once, in the
// long form with a Python worker. What a consumer gets must never go back to a
// better step, nor in a list.
func TestVolume(t *testing.T) {
	t.Parallel()
	each := 250
	if testenv.Full() {
		each = 1250
	}
	url := testenv.Redis(t)
	producer := open(t, redis.Config{URL: url})
	defer producer.Close()
	queues := []broker.Queue{{Name: "q0"}, {Name: "q1"}}
	total := fill(t, producer, queues, each)
	var peer *testenv.Process
	if testenv.Full() {
		testenv.Python(t, python)
		peer = pythonWorker(t, url, 3600, "-Q", "q0,q1")
		peer.WaitLine("end ", 20*time.Second)
	}
	ctx, done := context.WithTimeout(t.Context(), 3*time.Minute)
	defer done()
	var mu sync.Mutex
	seen := map[mark]int{}
	var wg sync.WaitGroup
	for range 3 {
		b := open(t, redis.Config{URL: url})
		defer b.Close()
		c, err := b.Consume(t.Context(), broker.ConsumeOptions{Worker: "w", Queues: queues, Prefetch: 16})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			names := drainNames(t, ctx, c)
			mu.Lock()
			defer mu.Unlock()
			inOrder(t, names, seen)
		})
	}
	testenv.Eventually(t, 3*time.Minute, func() error {
		infos, err := producer.Queues(t.Context(), "q0", "q1")
		if err == nil && infos[0].Messages+infos[1].Messages > 0 {
			err = fmt.Errorf("figures %+v", infos)
		}
		return err
	})
	done()
	wg.Wait()
	if peer != nil {
		inOrder(t, ranByPython(peer), seen)
	}
	if len(seen) != total {
		t.Errorf("%d of %d messages arrived", len(seen), total)
	}
	for m, n := range seen {
		if n != 1 {
			t.Errorf("%+v arrived %d times", m, n)
		}
	}
}

func ranByPython(p *testenv.Process) (names []string) {
	for _, line := range p.Lines() {
		if name, found := strings.CutPrefix(line, "end "); found {
			names = append(names, name)
		}
	}
	return names
}

// fill puts so many messages on each list of the queues, named as their marks.
func fill(t *testing.T, b *redis.Broker, queues []broker.Queue, each int) (total int) {
	t.Helper()
	for q, queue := range queues {
		for _, step := range []int{9, 6, 3, 0} {
			msgs := make([]broker.Publishing, each)
			for i := range msgs {
				msgs[i] = publishing(queue.Name, pythonTask("shared.run", fmt.Sprintf("%d/%d/%d", q, step, i), 0))
				msgs[i].Message.Properties.Priority = &step
			}
			if err := b.Publish(t.Context(), msgs...); err != nil {
				t.Fatal(err)
			}
			total += each
		}
	}
	return total
}

// drainNames claims and acknowledges until ctx ends.
func drainNames(t *testing.T, ctx context.Context, c broker.Consumer) (names []string) {
	for {
		ds, err := c.Claim(ctx, 8)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("claim: %v", err)
			}
			return names
		}
		for _, d := range ds {
			names = append(names, nameOf(d))
			if err := d.Ack(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("ack: %v", err)
			}
		}
	}
}

// inOrder counts what a consumer got and complains about its order.
func inOrder(t *testing.T, names []string, seen map[mark]int) {
	step, places := 0, map[[2]int]int{}
	for _, name := range names {
		var m mark
		if _, err := fmt.Sscanf(name, "%d/%d/%d", &m.queue, &m.step, &m.place); err != nil {
			t.Errorf("name %q: %v", name, err)
		}
		list := [2]int{m.queue, m.step}
		if last, ok := places[list]; m.step < step || ok && m.place <= last {
			t.Errorf("%+v after step %d and place %d", m, step, last)
		}
		step, places[list] = m.step, m.place
		seen[m]++
	}
}
