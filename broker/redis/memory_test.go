package redis_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

// TestFullServer keeps, settles and promotes claims on a server that refuses
// every write which needs memory.
func TestFullServer(t *testing.T) {
	t.Parallel()
	s := testenv.RedisServer(t)
	b := open(t, redis.Config{URL: s.URL, Lease: testLease})
	defer b.Close()
	put(t, b, "celery", 0, "held", "parked", "dead", "returned", "waiting")
	c := consumeCelery(t, b, 6)
	ds := claimAll(t, c, 4)
	score := func() string {
		return texts(t, s.URL, "ZRANGE", "umbel:claims", 0, 0, "WITHSCORES")[1]
	}
	do(t, s.URL, "CONFIG", "SET", "maxmemory", 1)
	if err := b.Publish(t.Context(), publishing("celery", pythonTask("x", "y", 0))); err == nil {
		t.Fatal("the server has memory")
	}
	due := time.Now().Add(300 * time.Millisecond)
	if err := errors.Join(ds[1].Park(t.Context(), due), ds[2].Dead(t.Context(), "no"), ds[3].Return(t.Context())); err != nil {
		t.Fatal(err)
	}
	got := map[string]broker.Delivery{}
	testenv.Eventually(t, 10*time.Second, func() error {
		more, err := c.Claim(t.Context(), 4)
		for _, d := range more {
			got[idOf(d)] = d
		}
		if err == nil && len(got) < 3 {
			err = fmt.Errorf("claimed %v", got)
		}
		return err
	})
	if got["waiting"] == nil || got["returned"] == nil || got["parked"] == nil {
		t.Fatalf("claimed %v", got)
	}
	before := score()
	testenv.Eventually(t, 5*time.Second, func() error {
		if score() == before {
			return errors.New("the leases are not renewed")
		}
		return nil
	})
	got["held"] = ds[0]
	for id, d := range got {
		if err := d.Ack(t.Context()); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
