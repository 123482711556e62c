package protocol

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// Marshal writes any Go value in kombu's dialect (kombu 5.3 and later). Values of
// Decode, numbers, strings, booleans, maps, slices, pointers and structs (by
// their json tags) are written directly; time.Time and []byte in kombu's wrappers
// (datetime, bytes or base64) and types of RegisterType in theirs; other types
// with an encoding of their own (json.Marshaler, encoding.TextMarshaler) by that.
// Values that nest deeper than about a thousand levels, or contain themselves,
// are an error.
func Marshal(v any) (Raw, error) { return AppendJSON(nil, v) }

// AppendJSON appends v as Python's json.dumps writes it: separators ", " and
// ": ", non-ASCII escaped, floats by repr, NaN and Infinity bare. Chord parts
// and results are compared and shown by Python, so the style is part of the
// protocol.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	e := encoder{buf: dst}
	err := e.value(v)
	return e.buf, err
}

type encoder struct {
	buf    []byte
	depth  int
	legacy bool // the dialect of kombu before 5.3, which has no wrappers
}

func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case nil:
		e.null()
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case string:
		e.buf = appendString(e.buf, v)
	case json.Number:
		e.number(v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case float64:
		e.buf = appendFloat(e.buf, v)
	case Raw:
		return e.raw(v)
	case Object:
		return e.object(v)
	case []any:
		return e.array(len(v), func(i int) any { return v[i] })
	case []byte:
		return e.bytes(v)
	case time.Time:
		return e.wrapped("datetime", FormatTime(v))
	case Signature:
		return e.object(v.Object())
	case *big.Int:
		if v == nil {
			e.null()
			return nil
		}
		e.buf = v.Append(e.buf, 10)
	default:
		return e.foreign(v)
	}
	return nil
}

func (e *encoder) null() { e.buf = append(e.buf, "null"...) }

// number writes 0 for an empty number, as encoding/json does.
func (e *encoder) number(n json.Number) {
	if n == "" {
		n = "0"
	}
	e.buf = append(e.buf, n...)
}

// raw copies JSON that is written already.
func (e *encoder) raw(v Raw) error {
	if len(v) == 0 {
		e.null()
		return nil
	}
	if e.legacy && hasWrapper(v) {
		tree, err := Decode(v)
		if err != nil {
			return err
		}
		return e.value(tree)
	}
	e.buf = append(e.buf, v...)
	return nil
}

// foreign writes types that are not the protocol's own. A pointer is followed
// unless it alone has the encoding.
func (e *encoder) foreign(v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer && rv.IsNil() {
		e.null()
		return nil
	}
	if r, ok := registeredByType(rv.Type()); ok {
		return e.registered(r, v)
	}
	if rv.Kind() == reflect.Pointer && !pointerEncodes(rv.Type()) {
		return e.nested(func() error { return e.value(rv.Elem().Interface()) })
	}
	switch v := v.(type) {
	case json.Marshaler:
		return e.byItself(v)
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return fmt.Errorf("write %T as JSON: %w", v, err)
		}
		e.buf = appendString(e.buf, string(text))
		return nil
	}
	return e.reflected(rv)
}

var (
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

// pointerEncodes reports whether a pointer type has an encoding that the type it
// points to lacks.
func pointerEncodes(t reflect.Type) bool {
	has := func(t reflect.Type) bool { return t.Implements(marshalerType) || t.Implements(textMarshalerType) }
	return has(t) && !has(t.Elem())
}

// byItself rewrites what a type makes of itself in Python's style.
func (e *encoder) byItself(v json.Marshaler) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %T as JSON: %w", v, err)
	}
	tree, err := Decode(data)
	if err != nil {
		return fmt.Errorf("write %T as JSON: %w", v, err)
	}
	return e.value(tree)
}

func (e *encoder) reflected(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case reflect.String:
		e.buf = appendString(e.buf, v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		e.buf = appendFloat(e.buf, v.Float())
	case reflect.Slice:
		switch {
		case v.IsNil():
			e.null()
		case v.Type().Elem().Kind() == reflect.Uint8:
			return e.bytes(v.Bytes())
		default:
			return e.array(v.Len(), func(i int) any { return v.Index(i).Interface() })
		}
	case reflect.Array:
		return e.array(v.Len(), func(i int) any { return v.Index(i).Interface() })
	case reflect.Struct:
		return e.structure(v)
	case reflect.Map:
		return e.mapping(v)
	default:
		return fmt.Errorf("write %s as JSON: there is no JSON for it", v.Type())
	}
	return nil
}

func (e *encoder) mapping(v reflect.Value) error {
	if v.IsNil() {
		e.null()
		return nil
	}
	o := make(Object, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		name, err := mapKey(it.Key())
		if err != nil {
			return err
		}
		o = append(o, Field{name, it.Value().Interface()})
	}
	sort.Slice(o, func(i, j int) bool { return o[i].Name < o[j].Name })
	return e.members(o)
}

func mapKey(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if m, ok := k.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", fmt.Errorf("write a map as JSON: keys of type %s", k.Type())
}

// nested bounds recursion.
func (e *encoder) nested(write func() error) error {
	if e.depth++; e.depth > 2*maxDepth { // a level of Go may be a pointer in a slice
		return errors.New("write JSON: nested too deeply, or a value that contains itself")
	}
	err := write()
	e.depth--
	return err
}

// object writes an object, or what the legacy dialect has for a wrapped value.
func (e *encoder) object(o Object) error {
	if e.legacy {
		if plain, ok := legacyPlain(o); ok {
			return e.value(plain)
		}
	}
	return e.members(o)
}

func (e *encoder) members(o Object) error {
	return e.nested(func() error {
		e.buf = append(e.buf, '{')
		for i, f := range o {
			if i > 0 {
				e.buf = append(e.buf, ", "...)
			}
			e.buf = append(appendString(e.buf, f.Name), ": "...)
			if err := e.value(f.Value); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, '}')
		return nil
	})
}

func (e *encoder) array(n int, at func(int) any) error {
	return e.nested(func() error {
		e.buf = append(e.buf, '[')
		for i := range n {
			if i > 0 {
				e.buf = append(e.buf, ", "...)
			}
			if err := e.value(at(i)); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, ']')
		return nil
	})
}

func (e *encoder) bytes(b []byte) error {
	switch {
	case b == nil:
		e.null()
		return nil
	case utf8.Valid(b):
		return e.wrapped("bytes", string(b))
	}
	return e.wrapped("base64", base64.StdEncoding.EncodeToString(b))
}

func (e *encoder) wrapped(kind string, value any) error {
	return e.object(wrap(kind, value))
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for s != "" {
		if n := plainPrefix(s); n > 0 {
			dst, s = append(dst, s[:n]...), s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		dst, s = appendEscaped(dst, r), s[size:]
	}
	return append(dst, '"')
}

// plainPrefix is how many bytes need no escape.
func plainPrefix(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}

func appendEscaped(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r == '\b':
		return append(dst, `\b`...)
	case r == '\f':
		return append(dst, `\f`...)
	case r > 0xffff:
		r -= 0x10000
		return appendUnicode(appendUnicode(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnicode(dst, r)
}

func appendUnicode(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendFloat writes Python's float repr: always with a point or an exponent, so
// that 1.0 stays a float.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	for _, c := range dst[n:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// isScalar reports whether a value is a boolean or a number.
func isScalar(v any) bool {
	switch v.(type) {
	case bool, int64, uint64, float64, *big.Int, json.Number:
		return true
	}
	return false
}
