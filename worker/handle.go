package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// Handle registers a function of one struct. The order of its fields gives the
// positions of Python's arguments; the json tag of a field, else its name in
// lower case, is the keyword; the tag default:"<JSON>" makes it optional.
func Handle[In, Out any](w *Worker, name string, fn func(context.Context, In) (Out, error), opts ...Option) error {
	fields, err := structFields(reflect.TypeFor[In]())
	if err != nil {
		return fmt.Errorf("register task %q: %w", name, err)
	}
	return w.Register(name, func(ctx context.Context, t *Task) (any, error) {
		var in In
		if err := bindStruct(t, fields, reflect.ValueOf(&in).Elem()); err != nil {
			return nil, err
		}
		return fn(ctx, in)
	}, opts...)
}

type field struct {
	index    int
	name     string
	fallback protocol.Raw // nil: required
}

func structFields(t reflect.Type) ([]field, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct", t)
	}
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		fd := field{index: i, name: name}
		if d, ok := f.Tag.Lookup("default"); ok {
			if !json.Valid([]byte(d)) {
				return nil, fmt.Errorf("field %s.%s: default %q is not JSON", t, f.Name, d)
			}
			fd.fallback = protocol.Raw(d)
		}
		out = append(out, fd)
	}
	return out, nil
}

func bindStruct(t *Task, fields []field, into reflect.Value) error {
	if len(t.Args) > len(fields) {
		return typeError(t, "takes %d positional arguments but %d were given", len(fields), len(t.Args))
	}
	given := make([]protocol.Raw, len(fields))
	copy(given, t.Args)
kwargs:
	for _, kw := range t.Kwargs {
		for i, f := range fields {
			if f.name != kw.Name {
				continue
			}
			if given[i] != nil {
				return typeError(t, "got multiple values for argument %s", protocol.Repr(kw.Name))
			}
			given[i] = kw.Value
			continue kwargs
		}
		return typeError(t, "got an unexpected keyword argument %s", protocol.Repr(kw.Name))
	}
	for i, f := range fields {
		raw := given[i]
		if raw == nil {
			raw = f.fallback
		}
		if raw == nil {
			return typeError(t, "missing a required argument: %s", protocol.Repr(f.name))
		}
		if err := protocol.Unmarshal(raw, into.Field(f.index).Addr().Interface()); err != nil {
			return typeError(t, "argument %s: %v", protocol.Repr(f.name), err)
		}
	}
	return nil
}
