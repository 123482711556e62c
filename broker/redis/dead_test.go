package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	redigo "github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/brokertest"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

func deadIDs(t *testing.T, b *redis.Broker, queue string) []string {
	t.Helper()
	letters, err := b.ListDead(t.Context(), queue, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, l := range letters {
		ids = append(ids, l.ID)
	}
	return ids
}

func count(t *testing.T, n int, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"redis": testenv.Redis(t), "miniredis": "redis://" + miniredis.RunT(t).Addr()} {
		t.Run(name, func(t *testing.T) { deadLetters(t, redis.Config{URL: url, GlobalKeyPrefix: "shop:"}) })
		t.Run(name+" conformance", func(t *testing.T) {
			brokertest.RunDeadLetters(t, func(t *testing.T) broker.Broker { return open(t, redis.Config{URL: url}) })
		})
	}
}

func deadLetters(t *testing.T, cfg redis.Config) {
	b := open(t, cfg)
	defer b.Close()
	put(t, b, "celery", 0, "a", "b")
	put(t, b, "celery", 6, "c", "d")
	urgent := texts(t, cfg.URL, "LRANGE", "shop:celery\x06\x166", 0, -1)
	c := consumeCelery(t, b, 4)
	start := time.Now().Truncate(time.Second)
	for _, d := range claimAll(t, c, 4) {
		if err := d.Dead(t.Context(), `why "so", `+idOf(d)); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := b.ListDead(t.Context(), "celery", 3)
	if err != nil || len(letters) != 3 {
		t.Fatalf("letters %v, %v", letters, err)
	}
	for i, want := range []string{"d", "c", "b"} {
		l := letters[i]
		if l.Message.Headers.String("id") != want || l.Reason != `why "so", `+want || l.Queue != "celery" || l.ID == "" ||
			l.Time.Before(start) || l.Time.After(time.Now()) {
			t.Errorf("letter %d: %+v", i, l)
		}
	}
	ids := deadIDs(t, b, "celery")
	if len(ids) != 4 || !slices.Equal(ids, deadIDs(t, b, "celery")) {
		t.Fatalf("ids %v do not stay", ids)
	}
	n, err := b.ReplayDead(t.Context(), "celery", ids[1], "unknown", ids[0], ids[1])
	if got := texts(t, cfg.URL, "LRANGE", "shop:celery\x06\x166", 0, -1); count(t, n, err) != 2 || !slices.Equal(got, urgent) {
		t.Errorf("replayed %d: %q, want what was there before", n, got)
	}
	if n, err = b.DropDead(t.Context(), "celery", ids[2], ids[2], "unknown"); count(t, n, err) != 1 {
		t.Errorf("dropped %d letters, want 1", n)
	}
	if n, err = b.ReplayDead(t.Context(), "celery"); count(t, n, err) != 1 {
		t.Errorf("replayed %d letters, want the last", n)
	}
	for _, want := range []string{"a", "c", "d"} {
		d := claimOne(t, c, time.Second)
		if idOf(d) != want || d.Redelivered() {
			t.Errorf("got %s, redelivered %v; want %s", idOf(d), d.Redelivered(), want)
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left := texts(t, cfg.URL, "KEYS", "shop:umbel:*"); len(left) != 0 {
		t.Errorf("keys left: %q", left)
	}
	if n, err = b.DropDead(t.Context(), "celery"); count(t, n, err) != 0 {
		t.Errorf("dropped %d letters of none", n)
	}
}

// TestReplayOrder replays more letters than a page holds.
func TestReplayOrder(t *testing.T) {
	t.Parallel()
	b := open(t, redis.Config{URL: testenv.Redis(t)})
	defer b.Close()
	var want []string
	for i := range 230 {
		want = append(want, fmt.Sprint(i))
	}
	put(t, b, "celery", 0, want...)
	c := consumeCelery(t, b, 300)
	for _, d := range claimAll(t, c, 230) {
		if err := d.Dead(t.Context(), "no"); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := b.ReplayDead(t.Context(), "celery"); count(t, n, err) != 230 {
		t.Errorf("replayed %d", n)
	}
	var got []string
	for _, d := range claimAll(t, c, 230) {
		got = append(got, idOf(d))
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v", got)
	}
}

// TestReplayRefusesWhatIsNoMessage keeps poison where it is.
func TestReplayRefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	c := consumeCelery(t, b, 1)
	poison := []string{"not json", "{not json}", `{"a": 1}`, "\x00\xff"}
	for _, element := range poison {
		do(t, url, "LPUSH", "celery", element)
		if err := claimOne(t, c, time.Second).Dead(t.Context(), "malformed"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, b, "celery", 3, "good")
	if err := claimOne(t, c, time.Second).Dead(t.Context(), "unknown task"); err != nil {
		t.Fatal(err)
	}
	n, err := b.ReplayDead(t.Context(), "celery")
	if n != 1 || !errors.Is(err, broker.ErrNotReplayed) {
		t.Fatalf("replayed %d, %v; want the good one and ErrNotReplayed", n, err)
	}
	letters, err := b.ListDead(t.Context(), "celery", 10)
	if err != nil || len(letters) != len(poison) {
		t.Fatalf("letters left %v, %v", letters, err)
	}
	slices.Reverse(letters)
	for i, l := range letters {
		if string(l.Message.Body) != poison[i] || l.Message.Malformed == "" {
			t.Errorf("letter %q, malformed %q; want %q as it was", l.Message.Body, l.Message.Malformed, poison[i])
		}
	}
	if d := claimOne(t, c, time.Second); idOf(d) != "good" {
		t.Errorf("got %q back", idOf(d))
	}
	if n, err := b.DropDead(t.Context(), "celery"); count(t, n, err) != len(poison) {
		t.Errorf("dropped %d", n)
	}
}

// TestUnreadableLetter has one letter beside a good one that no JSON is.
func TestUnreadableLetter(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	b := open(t, redis.Config{URL: url})
	defer b.Close()
	put(t, b, "celery", 0, "good")
	if err := claimOne(t, consumeCelery(t, b, 1), time.Second).Dead(t.Context(), "no"); err != nil {
		t.Fatal(err)
	}
	do(t, url, "LPUSH", "umbel:dead:celery", "odd")
	do(t, url, "HSET", "umbel:dead.letters:celery", "odd", "{not json}")
	letters, err := b.ListDead(t.Context(), "celery", 10)
	if err != nil || len(letters) != 2 || letters[0].Message.Malformed == "" || string(letters[0].Message.Body) != "{not json}" {
		t.Fatalf("letters %+v, %v", letters, err)
	}
	if n, err := b.ReplayDead(t.Context(), "celery"); n != 1 || !errors.Is(err, broker.ErrNotReplayed) {
		t.Errorf("replayed %d, %v; want the good one", n, err)
	}
	if n, err := b.DropDead(t.Context(), "celery"); count(t, n, err) != 1 {
		t.Errorf("dropped %d", n)
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		cfg   redis.Config
		least int // letters that must stay
	}{
		{"count", redis.Config{DeadCount: 3}, 3},
		{"bytes", redis.Config{DeadBytes: 2500}, 2},
		{"less than a letter", redis.Config{DeadBytes: 1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.URL = testenv.Redis(t)
			b := open(t, c.cfg)
			defer b.Close()
			consumer := consumeCelery(t, b, 1)
			for i := range 8 {
				put(t, b, "celery", 0, fmt.Sprint(i)+strings.Repeat("x", 100*i))
				if err := claimOne(t, consumer, time.Second).Dead(t.Context(), "why"); err != nil {
					t.Fatal(err)
				}
			}
			letters := texts(t, c.cfg.URL, "HVALS", "umbel:dead.letters:celery")
			size, err := redigo.Int(do(t, c.cfg.URL, "GET", "umbel:dead.bytes:celery"), nil)
			ids := deadIDs(t, b, "celery")
			if err != nil || len(letters) != c.least || len(ids) != c.least || size != len(strings.Join(letters, "")) {
				t.Errorf("%d letters, %d ids, %d bytes, counted %d", len(letters), len(ids), len(strings.Join(letters, "")), size)
			}
			newest, err := b.ListDead(t.Context(), "celery", 1)
			if err != nil || len(newest) != 1 || !strings.HasPrefix(newest[0].Message.Headers.String("id"), "7x") {
				t.Errorf("the newest letter is gone: %v, %v", newest, err)
			}
		})
	}
}
