package interop

import (
	"context"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	backends "github.com/umbel-go/umbel/backend/dial"
	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
	redisbroker "github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/worker"
)

// stage is a pair of broker and result backend that Go and Python both use.
type stage struct {
	name    string
	broker  string
	backend string
	// chords is false on rpc, where Celery refuses them.
	chords bool
	// visibility is the visibility timeout of the Go side on Redis; 0 means the
	// driver's.
	visibility time.Duration
}

// stages are the transports: Redis for both, RabbitMQ with rpc results, RabbitMQ
// with results in Redis.
var stages = map[string]func(testing.TB) stage{
	onRedis: func(t testing.TB) stage {
		url := testenv.Redis(t)
		return stage{name: onRedis, broker: url, backend: url, chords: true}
	},
	onAMQPAndRPC: func(t testing.TB) stage {
		return stage{name: onAMQPAndRPC, broker: testenv.AMQP(t), backend: "rpc://"}
	},
	onAMQPAndRedis: func(t testing.TB) stage {
		return stage{name: onAMQPAndRedis, broker: testenv.AMQP(t), backend: testenv.Redis(t), chords: true}
	},
}

// Names of the stages.
const (
	onRedis        = "redis"
	onAMQPAndRedis = "amqp+redis"
	onAMQPAndRPC   = "amqp+rpc"
)

// venvs are the Pythons that every stage runs with.
var venvs = []string{"celery57", "celery54"}

// everyStage runs a test on all stages with all Pythons.
func everyStage(t *testing.T, test func(t *testing.T, s stage, venv string)) {
	for _, venv := range venvs {
		for name, open := range stages {
			t.Run(venv+"/"+name, func(t *testing.T) { test(t, open(t), venv) })
		}
	}
}

// startWorker runs a Go worker in this process until the test ends.
func startWorker(t testing.TB, s stage, cfg worker.Config, register func(*worker.Worker)) *worker.Worker {
	t.Helper()
	cfg.Broker, cfg.Backend = s.connect(t)
	w := worker.New(cfg)
	register(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("worker ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("worker did not stop within 20 s")
		}
	})
	select {
	case <-w.Online():
	case <-time.After(20 * time.Second):
		t.Fatal("worker is not online after 20 s")
	}
	return w
}

// openClient returns a client on the stage.
func openClient(t testing.TB, s stage) *client.Client {
	t.Helper()
	b, results := s.connect(t)
	return client.New(client.Config{Broker: b, Backend: results})
}

// connect opens connections of their own, as another process would.
func (s stage) connect(t testing.TB) (broker.Broker, backend.Backend) {
	t.Helper()
	b, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	results, err := backends.Open(s.backend, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { results.Close() })
	return b, results
}

func (s stage) open() (broker.Broker, error) {
	if s.visibility > 0 {
		return redisbroker.New(redisbroker.Config{URL: s.broker, VisibilityTimeout: s.visibility})
	}
	return brokers.Open(s.broker)
}

// flags are the options of the Python scripts for a stage.
func (s stage) flags() []string {
	if s.chords {
		return nil
	}
	return []string{"--no-chord"}
}
