package protocol

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Unmarshal stores a JSON value of kombu's dialect in the value that into points
// to, by the rules of encoding/json, with these differences. Kombu's wrappers are
// undone: a datetime fits time.Time, bytes fit []byte and string, and every
// wrapped value of kombu's own fits string and encoding.TextUnmarshaler by its
// text; a wrapped value of RegisterType fits its type, and one that nobody
// registered what its inner value fits. In an any a datetime is a time.Time, bytes
// are []byte, decimals, UUIDs, dates and times are text, unregistered ones stay a
// map of both members, and numbers are json.Number, so that large integers stay
// exact. Without a wrapper, ISO text fits time.Time and any text fits []byte, as
// kombu before 5.3 sent them. NaN and Infinity fit a float.
func Unmarshal(raw Raw, into any) error {
	dst := reflect.ValueOf(into)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("unmarshal into %T, which is no pointer to a value", into)
	}
	if into, ok := into.(*Raw); ok {
		*into = append(Raw(nil), raw...)
		return nil
	}
	v, err := Decode(raw)
	if err != nil {
		return err
	}
	return assign(v, dst.Elem())
}

// misfit says what stood where something else is expected, and where.
type misfit struct {
	path []string // the innermost last
	got  string
	want reflect.Type
}

func (m *misfit) Error() string {
	where := ""
	if len(m.path) > 0 {
		where = " in " + strings.Join(m.path, ".")
	}
	return fmt.Sprintf("%s%s where %s is expected", m.got, where, m.want)
}

func errMisfit(v any, dst reflect.Value) error {
	got := typeName(v)
	if n, ok := v.(json.Number); ok {
		got = "number " + string(n)
	}
	if _, ok := v.(bool); ok {
		got = "bool"
	}
	return &misfit{got: got, want: dst.Type()}
}

// inMember puts the member's name in front of the path of a misfit.
func inMember(name string, err error) error {
	var m *misfit
	if errors.As(err, &m) {
		m.path = append([]string{name}, m.path...)
	}
	return err
}

var (
	rawType    = reflect.TypeFor[Raw]()
	timeType   = reflect.TypeFor[time.Time]()
	numberType = reflect.TypeFor[json.Number]()
)

// assign stores a decoded value.
func assign(v any, dst reflect.Value) error {
	switch {
	case dst.Type() == rawType:
		raw, err := Marshal(v)
		dst.SetBytes(raw)
		return err
	case v == nil:
		return assignNull(dst)
	case dst.Kind() == reflect.Pointer:
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		return assign(v, dst.Elem())
	}
	if o, ok := v.(Object); ok {
		if kind, value, ok := wrapped(o); ok {
			return assignWrapped(o, kind, value, dst)
		}
	}
	if dst.Type() == timeType {
		return assignTime(v, dst)
	}
	if done, err := assignItself(v, dst); done {
		return err
	}
	return assignKind(v, dst)
}

// assignNull empties what can be nil, tells types that read themselves, and
// leaves the rest, as encoding/json does.
func assignNull(dst reflect.Value) error {
	switch dst.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		dst.SetZero()
		return nil
	}
	if into, ok := dst.Addr().Interface().(json.Unmarshaler); ok {
		return into.UnmarshalJSON([]byte("null"))
	}
	return nil
}

func assignTime(v any, dst reflect.Value) error {
	s, ok := v.(string)
	if !ok {
		return errMisfit(v, dst)
	}
	t, err := ParseTime(s)
	dst.Set(reflect.ValueOf(t))
	return err
}

// assignItself lets a type read itself where it can.
func assignItself(v any, dst reflect.Value) (done bool, err error) {
	switch into := dst.Addr().Interface().(type) {
	case json.Unmarshaler:
		raw, err := Marshal(v)
		if err != nil {
			return true, err
		}
		return true, into.UnmarshalJSON(raw)
	case encoding.TextUnmarshaler:
		switch v := v.(type) {
		case string:
			return true, into.UnmarshalText([]byte(v))
		case json.Number:
			return true, into.UnmarshalText([]byte(v))
		}
		return true, errMisfit(v, dst)
	}
	return false, nil
}

func assignKind(v any, dst reflect.Value) error {
	switch dst.Kind() {
	case reflect.Interface:
		return assignAny(v, dst)
	case reflect.Struct:
		return assignStruct(v, dst)
	case reflect.Map:
		return assignMap(v, dst)
	case reflect.Slice, reflect.Array:
		return assignList(v, dst)
	case reflect.String:
		if n, ok := v.(json.Number); ok && dst.Type() == numberType {
			dst.SetString(string(n))
			return nil
		}
		if s, ok := v.(string); ok && dst.Type() != numberType {
			dst.SetString(s)
			return nil
		}
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			dst.SetBool(b)
			return nil
		}
	default:
		if n, ok := v.(json.Number); ok && assignNumber(string(n), dst) {
			return nil
		}
	}
	return errMisfit(v, dst)
}

func assignNumber(n string, dst reflect.Value) bool {
	switch {
	case dst.CanInt():
		i, err := strconv.ParseInt(n, 10, dst.Type().Bits())
		dst.SetInt(i)
		return err == nil
	case dst.CanUint():
		u, err := strconv.ParseUint(n, 10, dst.Type().Bits())
		dst.SetUint(u)
		return err == nil
	case dst.CanFloat():
		f, err := strconv.ParseFloat(n, 64) // out of range is infinite, as in Python
		dst.SetFloat(f)
		return err == nil || errors.Is(err, strconv.ErrRange)
	}
	return false
}
