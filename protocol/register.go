package protocol

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"time"
)

// registration is a user's codec for one type.
type registration struct {
	marker string
	encode func(any) (any, error)
	decode func(Raw) (any, error)
}

var registry struct {
	sync.RWMutex
	byType   map[reflect.Type]registration
	byMarker map[string]reflect.Type
}

// ownForm are the types that the encoder writes by itself.
var ownForm = map[reflect.Type]bool{
	reflect.TypeFor[bool](): true, reflect.TypeFor[string](): true, reflect.TypeFor[json.Number](): true,
	reflect.TypeFor[int](): true, reflect.TypeFor[int64](): true, reflect.TypeFor[float64](): true,
	reflect.TypeFor[Raw](): true, reflect.TypeFor[Object](): true, reflect.TypeFor[[]any](): true,
	reflect.TypeFor[[]byte](): true, reflect.TypeFor[time.Time](): true, reflect.TypeFor[Signature](): true,
	reflect.TypeFor[big.Int](): true,
}

// RegisterType teaches the JSON codec a type, like kombu.utils.json.register_type
// in Python: Marshal writes a T anywhere in a value as
// {"__type__": marker, "__value__": encode(v)}, and Unmarshal reads such an object
// into a T, or into an any as a T. A pointer to T is written as the T, and null
// where it is nil. Python peers must have the marker registered as well: they
// refuse messages with a __type__ that they do not know.
//
// It is process-wide, safe for concurrent use and meant for package
// initialisation: a marker or type that is registered twice panics, as do the
// markers and types that have a form already (datetime, bytes and base64, int and so on).
func RegisterType[T any](marker string, encode func(T) (any, error), decode func(Raw) (T, error)) {
	t := reflect.TypeFor[T]()
	registry.Lock()
	defer registry.Unlock()
	_, sameType := registry.byType[t]
	_, sameMarker := registry.byMarker[marker]
	switch {
	case marker == "", marker == "datetime", marker == "bytes", marker == "base64":
		panic(fmt.Sprintf("protocol: RegisterType: the marker %q is reserved", marker))
	case t.Kind() == reflect.Interface, t.Kind() == reflect.Pointer:
		panic(fmt.Sprintf("protocol: RegisterType: %s is no value type", t))
	case ownForm[t]:
		panic(fmt.Sprintf("protocol: RegisterType: %s has a form in JSON already", t))
	case sameType:
		panic(fmt.Sprintf("protocol: RegisterType: the type %s is registered twice", t))
	case sameMarker:
		panic(fmt.Sprintf("protocol: RegisterType: the marker %q is registered twice", marker))
	}
	if registry.byType == nil {
		registry.byType, registry.byMarker = map[reflect.Type]registration{}, map[string]reflect.Type{}
	}
	registry.byMarker[marker] = t
	registry.byType[t] = registration{
		marker: marker,
		encode: func(v any) (any, error) { return encode(v.(T)) },
		decode: func(raw Raw) (any, error) { return decode(raw) },
	}
}

func registeredByType(t reflect.Type) (registration, bool) {
	registry.RLock()
	defer registry.RUnlock()
	r, ok := registry.byType[t]
	return r, ok
}

func registeredByMarker(marker string) (reflect.Type, bool) {
	registry.RLock()
	defer registry.RUnlock()
	t, ok := registry.byMarker[marker]
	return t, ok
}

// registered writes a value of a registered type.
func (e *encoder) registered(r registration, v any) error {
	inner, err := r.encode(v)
	if err != nil {
		return fmt.Errorf("write %T as %q: %w", v, r.marker, err)
	}
	return e.nested(func() error {
		return e.wrapped(r.marker, inner)
	})
}
