package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/umbel-go/umbel/protocol"
	"github.com/umbel-go/umbel/worker"
)

// invoke runs a registered task on JSON arguments, without a broker.
func invoke(t *testing.T, register func(*worker.Worker) error, args, kwargs string) (string, error) {
	t.Helper()
	w := worker.New(worker.Config{})
	if err := register(w); err != nil {
		t.Fatalf("register: %v", err)
	}
	a, err := protocol.SplitArray([]byte(args))
	if err != nil {
		t.Fatal(err)
	}
	k, err := protocol.SplitObject([]byte(kwargs))
	if err != nil {
		t.Fatal(err)
	}
	v, err := worker.Invoke(w, "t", &protocol.Task{Name: "t", ID: "id", Args: a, Kwargs: k})
	if err != nil {
		return "", err
	}
	raw, err := protocol.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), nil
}

func TestFuncBindsAsPythonDoes(t *testing.T) {
	concat := func(w *worker.Worker) error {
		return worker.Func(w, "t", func(_ context.Context, n int, s string, f float64) (string, error) {
			return strings.Repeat(s, n), nil
		}, worker.Params("n", "s", "f"))
	}
	tests := []struct{ name, args, kwargs, want, err string }{
		{"positions", `[2, "a", 1.5]`, `{}`, `"aa"`, ""},
		{"names", `[]`, `{"f": 1, "s": "b", "n": 3}`, `"bbb"`, ""},
		{"mixed", `[2]`, `{"s": "c", "f": NaN}`, `"cc"`, ""},
		{"missing", `[2]`, `{"s": "c"}`, "", "missing a required argument: 'f'"},
		{"too many", `[2, "a", 1.5, 4]`, `{}`, "", "takes 3 positional arguments but 4 were given"},
		{"twice", `[2, "a", 1.5]`, `{"n": 1}`, "", "got multiple values for argument 'n'"},
		{"unexpected", `[2, "a", 1.5]`, `{"x": 1}`, "", "got an unexpected keyword argument 'x'"},
		{"wrong type", `["two", "a", 1.5]`, `{}`, "", "argument 'n'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := invoke(t, concat, tt.args, tt.kwargs)
			if tt.err == "" {
				if err != nil || got != tt.want {
					t.Fatalf("got %s, %v; want %s", got, err, tt.want)
				}
				return
			}
			var e *worker.ExceptionError
			if !errors.As(err, &e) || e.Exception.Type != "TypeError" || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got %v; want a TypeError with %q", err, tt.err)
			}
		})
	}
}

func TestFuncVariadic(t *testing.T) {
	sum := func(w *worker.Worker) error {
		return worker.Func(w, "t", func(_ context.Context, label string, n ...int) (int, error) {
			total := len(label)
			for _, v := range n {
				total += v
			}
			return total, nil
		}, worker.Params("label"))
	}
	for args, want := range map[string]string{`["ab"]`: "2", `["ab", 1, 2]`: "5"} {
		if got, err := invoke(t, sum, args, `{}`); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", args, got, err, want)
		}
	}
}

type resize struct {
	Path  string `json:"path"`
	Width int    `json:"width" default:"640"`
	skip  bool
}

func TestHandleBindsStruct(t *testing.T) {
	reg := func(w *worker.Worker) error {
		return worker.Handle(w, "t", func(_ context.Context, in resize) (map[string]any, error) {
			_ = in.skip
			return map[string]any{"path": in.Path, "width": in.Width}, nil
		})
	}
	tests := []struct{ args, kwargs, want, err string }{
		{`["a.png"]`, `{}`, `{"path": "a.png", "width": 640}`, ""},
		{`["a.png", 10]`, `{}`, `{"path": "a.png", "width": 10}`, ""},
		{`[]`, `{"width": 5, "path": "b"}`, `{"path": "b", "width": 5}`, ""},
		{`[]`, `{"width": 5}`, "", "missing a required argument: 'path'"},
		{`["a"]`, `{"path": "b"}`, "", "multiple values"},
	}
	for _, tt := range tests {
		got, err := invoke(t, reg, tt.args, tt.kwargs)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("%s %s: got %s, %v; want %s", tt.args, tt.kwargs, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s %s: got %v; want %q", tt.args, tt.kwargs, err, tt.err)
		}
	}
}

func TestRegistrationErrors(t *testing.T) {
	w := worker.New(worker.Config{})
	noop := func(context.Context) error { return nil }
	if err := worker.Func(w, "a", noop); err != nil {
		t.Fatal(err)
	}
	bad := map[string]error{
		"taken name":     worker.Func(w, "a", noop),
		"not a function": worker.Func(w, "b", 3),
		"no context":     worker.Func(w, "c", func(int) error { return nil }),
		"no error":       worker.Func(w, "d", func(context.Context) int { return 1 }),
		"too many names": worker.Func(w, "e", noop, worker.Params("x")),
		"not a struct":   worker.Handle(w, "f", func(context.Context, int) (int, error) { return 0, nil }),
		"empty name":     worker.Func(w, "", noop),
	}
	for name, err := range bad {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
