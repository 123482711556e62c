package builtin

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

func TestRegisterDemo(t *testing.T) {
	w := worker.New(worker.Config{})
	if err := RegisterDemo(w); err != nil {
		t.Fatal(err)
	}
	if err := RegisterDemo(w); err == nil {
		t.Error("the same names were registered twice")
	}
}

// Numbers behave as in Python: integers of any size, floats once one is.
func TestNumbers(t *testing.T) {
	ctx := context.Background()
	sum := func(ns ...json.Number) (any, error) { return xsum(ctx, ns) }
	tests := []struct {
		name string
		got  func() (any, error)
		want string
	}{
		{"integers", func() (any, error) { return add(ctx, "2", "3") }, "5"},
		{"float and integer", func() (any, error) { return add(ctx, "2.0", "3") }, "5.0"},
		{"large", func() (any, error) { return mul(ctx, "100000000000000000000", "100000000000000000000") },
			"10000000000000000000000000000000000000000"},
		{"negative", func() (any, error) { return mul(ctx, "-3", "0.5") }, "-1.5"},
		{"not a number", func() (any, error) { return add(ctx, "NaN", "1") }, "NaN"},
		{"sum", func() (any, error) { return sum("1", "2", "3") }, "6"},
		{"sum with a float", func() (any, error) { return sum("1", "0.5") }, "1.5"},
		{"empty sum", func() (any, error) { return sum() }, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := tt.got()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := protocol.Marshal(v)
			if err != nil || string(raw) != tt.want {
				t.Errorf("got %s, %v; want %s", raw, err, tt.want)
			}
		})
	}
}
