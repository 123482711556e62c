package redis_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/backendtest"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
)

func TestMain(m *testing.M) {
	// The thread that started a test server stays, so that the server ends with us.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/umbel-go/umbel/internal/testenv/child.startBound.func1.1"))
}

func open(t *testing.T, cfg redis.Config) *redis.Backend {
	t.Helper()
	b, err := redis.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestConformance(t *testing.T) {
	url := testenv.Redis(t)
	backendtest.Run(t, backendtest.Driver{
		Open:     func(t *testing.T) backend.Backend { return open(t, redis.Config{URL: url, KeyPrefix: "pre"}) },
		Features: backendtest.Features{Stored: true, Chords: true},
	})
}

// The embedded broker is miniredis where no Redis is installed.
func TestConformanceOnMiniredis(t *testing.T) {
	server := miniredis.RunT(t)
	backendtest.Run(t, backendtest.Driver{
		Open:     func(t *testing.T) backend.Backend { return open(t, redis.Config{URL: "redis://" + server.Addr()}) },
		Features: backendtest.Features{Stored: true, Chords: true},
	})
}
