package redis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

// TestSweepPassesOverWhatLeadsNowhere hides two messages of dead workers behind
// more claims than a sweep looks at, whose exchange has no queue.
func TestSweepPassesOverWhatLeadsNowhere(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url, VisibilityTimeout: time.Second})
	defer b.Close()
	for i := range 250 {
		claimed(t, url, 1+i, fmt.Sprint("stuck", i), `[{"body": "", "properties": {}}, "gone", "key"]`)
	}
	claimed(t, url, 1000, "python", `[{"body": "e30=", "headers": {"id": "lost"}, "properties": {"delivery_info": {}}}, "", "celery"]`)
	claimed(t, url, 1001, "w:1.1.0", `[{not json}, "", "celery"]`) // its consumer died before it could amend it
	ds := claimAll(t, consumeCelery(t, b, 3), 2)
	if idOf(ds[1]) != "lost" {
		ds[0], ds[1] = ds[1], ds[0]
	}
	if m := ds[0].Message(); idOf(ds[1]) != "lost" || string(m.Body) != "{not json}" || m.Malformed == "" {
		t.Errorf("got %q and %q, malformed %q", idOf(ds[1]), m.Body, m.Malformed)
	}
	if left, _ := do(t, url, "HLEN", "unacked").(int64); left != 252 {
		t.Errorf("%d claims, want ours and what leads nowhere", left)
	}
}

// claimed writes a claim as another worker does.
func claimed(t *testing.T, url string, score int, tag, record string) {
	t.Helper()
	do(t, url, "HSET", "unacked", tag, record)
	do(t, url, "ZADD", "unacked_index", score, tag)
}

// TestNewcomerAfterAnOutage starts a consumer when the leases of a live one are
// old, as they are when the server has just come back.
func TestNewcomerAfterAnOutage(t *testing.T) {
	t.Parallel()
	cfg := redis.Config{URL: testenv.Redis(t), Lease: 4 * time.Second}
	first, second := open(t, cfg), open(t, cfg)
	defer first.Close()
	defer second.Close()
	put(t, first, "celery", 0, "a")
	held := claimOne(t, consumeCelery(t, first, 1), time.Second)
	tag := tagOf(t, cfg.URL)
	do(t, cfg.URL, "ZADD", "umbel:claims", 1, tag)
	newcomer := consumeCelery(t, second, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if ds, err := newcomer.Claim(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("claimed %d, %v, while it runs", len(ds), err)
	}
	if err := held.Ack(t.Context()); errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("ack: %v", err)
	}
}
