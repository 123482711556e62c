package rpc_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/rpc"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const celeryApp = "../../broker/amqp/testdata/celeryapp.py"

// TestCelery exchanges results with Celery over both brokers.
func TestCelery(t *testing.T) {
	for _, venv := range []string{"celery57", "celery54"} {
		t.Run(venv+" amqp", func(t *testing.T) {
			url := testenv.AMQP(t)
			b, err := amqp.New(amqp.Config{URL: url})
			exchange(t, venv, url, b, err)
		})
		t.Run(venv+" redis", func(t *testing.T) {
			url := testenv.Redis(t)
			b, err := redis.New(redis.Config{URL: url})
			exchange(t, venv, url, b, err)
		})
	}
}

func exchange(t *testing.T, venv, url string, b broker.Broker, err error) {
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	results := rpc.New(rpc.Config{Broker: b})
	t.Cleanup(func() { results.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answerPython(ctx, t, venv, url, b, results)
	askPython(ctx, t, venv, url, b, results)
}

// answerPython is the worker of a Python client.
func answerPython(ctx context.Context, t *testing.T, venv, url string, b broker.Broker, results backend.Backend) {
	cmd := testenv.PythonCommand(t, venv, celeryApp, "1", "wait")
	cmd.Env = append(cmd.Env, "CELERY_BROKER_URL="+url, "CELERY_RESULT_BACKEND=rpc://")
	client := testenv.Start(t, cmd)
	c, err := b.Consume(ctx, broker.ConsumeOptions{Worker: "w@h", Queues: []broker.Queue{{Name: "celery"}}, Prefetch: 1})
	if err != nil {
		t.Fatal(err)
	}
	ds, err := c.Claim(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := ds[0].Message().Properties
	for _, r := range []*protocol.Result{
		{TaskID: p.CorrelationID, Status: protocol.StateStarted},
		{TaskID: p.CorrelationID, Status: protocol.StateSuccess, Value: protocol.Raw("1234"), DateDone: time.Now()},
	} {
		if err := results.Put(ctx, backend.Put{Result: r, ReplyTo: p.ReplyTo, CorrelationID: p.CorrelationID}); err != nil {
			t.Fatal(err)
		}
	}
	client.WaitLine("answer 1234", time.Minute)
	if err := ds[0].Ack(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// askPython is the client of a Python worker.
func askPython(ctx context.Context, t *testing.T, venv, url string, b broker.Broker, results backend.Backend) {
	testenv.StartCelery(t, testenv.Celery{Venv: venv, App: celeryApp, Broker: url, Backend: "rpc://", Args: []string{"-c", "1"}})
	id := uuid.NewString()
	w, err := results.Watch(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	m := protocol.NewMessage(
		protocol.Object{{Name: "lang", Value: "go"}, {Name: "task", Value: "add"}, {Name: "id", Value: id}, {Name: "root_id", Value: id}},
		fmt.Appendf(nil, `[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`))
	m.Properties.CorrelationID, m.Properties.ReplyTo = id, results.ReplyTo()
	if err := b.Publish(ctx, broker.Publishing{RoutingKey: "celery", Message: m}); err != nil {
		t.Fatal(err)
	}
	r, err := w.Next(ctx)
	if err != nil || r.TaskID != id || r.Status != protocol.StateSuccess || string(r.Value) != "5" {
		t.Fatalf("got %+v, %v; want 5", r, err)
	}
	if r, err := results.Get(ctx, id); err != nil || string(r.Value) != "5" {
		t.Errorf("get: %+v, %v; want 5", r, err)
	}
}
