package redis_test

import (
	"context"
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
	conform(t, redis.Config{URL: testenv.Redis(t), Lease: testLease})
}

func TestConformanceWithPrefix(t *testing.T) {
	t.Parallel()
	conform(t, redis.Config{URL: testenv.Redis(t), Lease: testLease, GlobalKeyPrefix: "shop[1]:"})
}

func TestConformanceMiniredis(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	conform(t, redis.Config{URL: "redis://" + s.Addr(), Lease: testLease})
}

func conform(t *testing.T, cfg redis.Config) {
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
		LostWithin: 6 * testLease,
		ParkLate:   500 * time.Millisecond,
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
