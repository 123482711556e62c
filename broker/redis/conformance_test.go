package redis_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	redigo "github.com/gomodule/redigo/redis"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/brokertest"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/redisx"
	"github.com/umbel-go/umbel/internal/testenv"
)

// testLease is short, so that tests of lost workers are.
const testLease = 1200 * time.Millisecond

func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, redis.Config{URL: testenv.Redis(t), Lease: testLease}, 0)
}

func TestConformanceMiniredis(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	// It is slow on a busy machine, and shares the processor with its clients.
	conform(t, redis.Config{URL: "redis://" + s.Addr(), Lease: 8 * time.Second}, 500)
}

// TestConformanceWithPrefix holds to the access list in the package's
// documentation, with the keys narrowed to the prefix.
func TestConformanceWithPrefix(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("redis.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, found := strings.Cut(string(source), "//	ACL SETUSER umbel ")
	rules, _, end := strings.Cut(rules, "//\n")
	if !found || !end {
		t.Fatal("the documentation names no rights")
	}
	s := testenv.RedisServer(t)
	args := []any{"SETUSER", "umbel"}
	for _, rule := range strings.Fields(strings.ReplaceAll(rules, "//", " ")) {
		args = append(args, strings.Replace(rule, "~*", `~shop\[1\]:*`, 1))
	}
	do(t, s.URL, "ACL", args...)
	url := strings.Replace(s.URL, "redis://", "redis://umbel:password@", 1)
	conform(t, redis.Config{URL: url, Lease: testLease, GlobalKeyPrefix: "shop[1]:"}, 0)
	log, err := redigo.Values(do(t, s.URL, "ACL", "LOG"), nil)
	if err != nil || len(log) != 0 {
		t.Errorf("refused: %q, %v", log, err)
	}
}

func conform(t *testing.T, cfg redis.Config, volume int) {
	brokertest.Run(t, brokertest.Features{
		PushRaw: func(t testing.TB, queue string, element []byte) {
			do(t, cfg.URL, "LPUSH", cfg.GlobalKeyPrefix+queue, element)
		},
		DeadCount: func(t testing.TB, queue string) int {
			n, err := redigo.Int(do(t, cfg.URL, "LLEN", cfg.GlobalKeyPrefix+"umbel:dead:"+queue), nil)
			if err != nil {
				t.Fatal(err)
			}
			return n
		},
		LostWithin: 6 * cfg.Lease,
		Volume:     volume,
	}, func(t *testing.T) broker.Broker { return open(t, cfg) })
}

func open(t testing.TB, cfg redis.Config) *redis.Broker {
	t.Helper()
	b, err := redis.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// do runs one command on a connection of its own.
func do(t testing.TB, url, name string, args ...any) any {
	t.Helper()
	opts, err := redisx.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := opts.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Do(name, args...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return reply
}
