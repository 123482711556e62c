// Package builtin holds the tasks of the stock worker program.
package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// RegisterDemo adds the demo tasks: demo.add, mul, xsum, echo, sleep, fail and
// flaky, and the three that the XingQiao examples call. Running one of them
// twice does no harm, so all are acknowledged late and survive a killed worker.
func RegisterDemo(w *worker.Worker) error {
	late := worker.AcksLate(true)
	return errors.Join(
		worker.Func(w, "demo.add", add, worker.Params("x", "y"), late),
		worker.Func(w, "demo.mul", mul, worker.Params("x", "y"), late),
		worker.Func(w, "demo.xsum", xsum, worker.Params("numbers"), late),
		worker.Raw(w, "demo.echo", echo, late),
		worker.Func(w, "demo.sleep", sleep, worker.Params("seconds"), late),
		worker.Func(w, "demo.fail", fail, worker.Params("message"), late),
		worker.Handle(w, "demo.flaky", flaky, worker.MaxRetries(-1), worker.RetryDelay(time.Second), late),
		worker.Raw(w, "/demo_api/ping", pingAPI, late),
		worker.Func(w, "/demo_api/hello", helloAPI, worker.Params("str_info"), late),
		worker.Func(w, "/demo_api/collect", collectAPI, worker.Params("all_taskdata"), late),
	)
}

// add and its like keep Python's numbers: integers of any size stay integers,
// and one float makes the outcome a float.
func add(_ context.Context, x, y json.Number) (any, error) {
	return combine(x, y, (*big.Int).Add, func(a, b float64) float64 { return a + b })
}

func mul(_ context.Context, x, y json.Number) (any, error) {
	return combine(x, y, (*big.Int).Mul, func(a, b float64) float64 { return a * b })
}

func xsum(_ context.Context, numbers []json.Number) (any, error) {
	var total any = big.NewInt(0)
	for _, n := range numbers {
		raw, err := protocol.Marshal(total)
		if err != nil {
			return nil, err
		}
		if total, err = combine(json.Number(raw), n, (*big.Int).Add, func(a, b float64) float64 { return a + b }); err != nil {
			return nil, err
		}
	}
	return total, nil
}

func combine(x, y json.Number, whole func(z, a, b *big.Int) *big.Int, float func(a, b float64) float64) (any, error) {
	a, aok := new(big.Int).SetString(string(x), 10)
	b, bok := new(big.Int).SetString(string(y), 10)
	if aok && bok {
		return whole(new(big.Int), a, b), nil
	}
	f, err := x.Float64()
	if err != nil {
		return nil, worker.Exception("builtins", "TypeError", fmt.Sprintf("unsupported operand %q", x))
	}
	g, err := y.Float64()
	if err != nil {
		return nil, worker.Exception("builtins", "TypeError", fmt.Sprintf("unsupported operand %q", y))
	}
	return float(f, g), nil
}

// echo returns what it was called with: the one positional argument, or an
// object of both kinds.
func echo(_ context.Context, t *worker.Task) (any, error) {
	if len(t.Args) == 1 && len(t.Kwargs) == 0 {
		return t.Args[0], nil
	}
	return protocol.Object{{Name: "args", Value: t.Args}, {Name: "kwargs", Value: t.KwargsObject()}}, nil
}

func sleep(ctx context.Context, seconds float64) (float64, error) {
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return seconds, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func fail(_ context.Context, message string) error { return errors.New(message) }

type flakyArgs struct {
	FailTimes int `json:"fail_times" default:"1"`
}

// flaky fails as often as asked and then returns the number of its attempts.
func flaky(ctx context.Context, in flakyArgs) (int, error) {
	t := worker.FromContext(ctx)
	if t.Retries < in.FailTimes {
		return 0, worker.Retry(fmt.Errorf("attempt %d of %d fails", t.Retries+1, in.FailTimes+1), time.Second)
	}
	return t.Retries + 1, nil
}

func pingAPI(context.Context, *worker.Task) (any, error) {
	return protocol.Object{{Name: "stat", Value: "OK"}}, nil
}

func helloAPI(_ context.Context, info string) (any, error) {
	return protocol.Object{{Name: "stat", Value: "OK"}, {Name: "str_info", Value: info}}, nil
}

func collectAPI(_ context.Context, data protocol.Raw) (any, error) {
	return protocol.Object{{Name: "stat", Value: "OK"}, {Name: "data", Value: data}}, nil
}
