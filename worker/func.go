package worker

import (
	"context"
	"fmt"
	"reflect"

	"github.com/umbel-go/umbel/protocol"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// Func registers a Go function of the form func(ctx, a, b, ...) (result, error)
// or func(ctx, a, b, ...) error. Arguments are bound by position as Python
// passes them, and by the names that Params gives. A trailing variadic
// parameter takes what is left. The signature is checked here, once.
func Func(w *Worker, name string, fn any, opts ...Option) error {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	call, err := compile(fn, o.params)
	if err != nil {
		return fmt.Errorf("register task %q: %w", name, err)
	}
	return w.Register(name, call.handle, opts...)
}

// function is a compiled Func.
type function struct {
	fn       reflect.Value
	params   []reflect.Type // without the context; the last is a slice if variadic
	names    []string
	variadic bool
	result   bool
}

func compile(fn any, names []string) (*function, error) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return nil, fmt.Errorf("%T is not a function", fn)
	}
	t := v.Type()
	if t.NumIn() == 0 || t.In(0) != contextType {
		return nil, fmt.Errorf("%s: the first parameter must be a context.Context", t)
	}
	outs := t.NumOut()
	if outs == 0 || outs > 2 || t.Out(outs-1) != errorType {
		return nil, fmt.Errorf("%s: it must return (result, error) or error", t)
	}
	f := &function{fn: v, names: names, variadic: t.IsVariadic(), result: outs == 2}
	for i := 1; i < t.NumIn(); i++ {
		f.params = append(f.params, t.In(i))
	}
	if len(names) > len(f.params) {
		return nil, fmt.Errorf("%s has %d parameters after the context, Params names %d", t, len(f.params), len(names))
	}
	return f, nil
}

func (f *function) handle(ctx context.Context, t *Task) (any, error) {
	in, err := f.bind(ctx, t)
	if err != nil {
		return nil, err
	}
	var out []reflect.Value
	if f.variadic {
		out = f.fn.CallSlice(in)
	} else {
		out = f.fn.Call(in)
	}
	err, _ = out[len(out)-1].Interface().(error)
	if !f.result {
		return nil, err
	}
	return out[0].Interface(), err
}

// bind follows Python's rules: positions first, then names, each parameter once
// and all of them given.
func (f *function) bind(ctx context.Context, t *Task) ([]reflect.Value, error) {
	fixed := len(f.params)
	if f.variadic {
		fixed--
	}
	if len(t.Args) > fixed && !f.variadic {
		return nil, typeError(t, "takes %d positional arguments but %d were given", fixed, len(t.Args))
	}
	in := make([]reflect.Value, len(f.params)+1)
	in[0] = reflect.ValueOf(ctx)
	for i := range min(fixed, len(t.Args)) {
		v, err := f.value(t, i, t.Args[i], f.params[i])
		if err != nil {
			return nil, err
		}
		in[i+1] = v
	}
	if err := f.bindNames(t, fixed, in); err != nil {
		return nil, err
	}
	for i := range fixed {
		if !in[i+1].IsValid() {
			return nil, typeError(t, "missing a required argument: %s", f.label(i))
		}
	}
	if f.variadic {
		rest := reflect.MakeSlice(f.params[fixed], 0, max(0, len(t.Args)-fixed))
		for i := fixed; i < len(t.Args); i++ {
			v, err := f.value(t, i, t.Args[i], f.params[fixed].Elem())
			if err != nil {
				return nil, err
			}
			rest = reflect.Append(rest, v)
		}
		in[fixed+1] = rest
	}
	return in, nil
}

func (f *function) bindNames(t *Task, fixed int, in []reflect.Value) error {
	for _, kw := range t.Kwargs {
		i := f.index(kw.Name)
		if i < 0 || i >= fixed {
			return typeError(t, "got an unexpected keyword argument %s", protocol.Repr(kw.Name))
		}
		if in[i+1].IsValid() {
			return typeError(t, "got multiple values for argument %s", f.label(i))
		}
		v, err := f.value(t, i, kw.Value, f.params[i])
		if err != nil {
			return err
		}
		in[i+1] = v
	}
	return nil
}

func (f *function) index(name string) int {
	for i, n := range f.names {
		if n == name {
			return i
		}
	}
	return -1
}

func (f *function) label(i int) string {
	if i < len(f.names) {
		return protocol.Repr(f.names[i])
	}
	return fmt.Sprintf("number %d", i+1)
}

func (f *function) value(t *Task, i int, raw protocol.Raw, typ reflect.Type) (reflect.Value, error) {
	v := reflect.New(typ)
	if err := protocol.Unmarshal(raw, v.Interface()); err != nil {
		return v, typeError(t, "argument %s: %v", f.label(i), err)
	}
	return v.Elem(), nil
}

// typeError is what Python raises when arguments do not fit.
func typeError(t *Task, format string, args ...any) error {
	return Exception("builtins", "TypeError", t.Name+"() "+fmt.Sprintf(format, args...))
}
