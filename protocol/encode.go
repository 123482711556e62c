package protocol

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"sort"
	"strconv"
	"time"
	"unicode/utf8"
)

// Marshal writes any Go value in kombu's dialect. Values of Decode, numbers,
// strings, booleans, maps with string keys, slices, pointers and structs (by
// their json tags) are written directly; time.Time and []byte in kombu's wrappers
// (datetime, bytes or base64); types with an encoding of their own and structs
// with embedded fields through encoding/json.
func Marshal(v any) (Raw, error) { return AppendJSON(nil, v) }

// AppendJSON appends v as Python's json.dumps writes it: separators ", " and
// ": ", non-ASCII escaped, floats by repr, NaN and Infinity bare. Chord parts
// and results are compared and shown by Python, so the style is part of the
// protocol.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v), nil
	case json.Number:
		return append(dst, v...), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendFloat(dst, v), nil
	case Raw:
		if len(v) == 0 {
			return append(dst, "null"...), nil
		}
		return append(dst, v...), nil
	case Object:
		return appendObject(dst, v)
	case []any:
		return appendArray(dst, len(v), func(i int) any { return v[i] })
	case []byte:
		return appendBytes(dst, v)
	case time.Time:
		return appendWrapped(dst, "datetime", FormatTime(v))
	case *big.Int:
		return append(dst, v.String()...), nil
	case Signature:
		return appendObject(dst, v.Object())
	case json.Marshaler:
		return appendForeign(dst, v)
	}
	return appendReflect(dst, reflect.ValueOf(v))
}

func appendReflect(dst []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case reflect.String:
		return appendString(dst, v.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return appendFloat(dst, v.Float()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
		return AppendJSON(dst, v.Elem().Interface())
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return append(dst, "null"...), nil
		}
		return appendArray(dst, v.Len(), func(i int) any { return v.Index(i).Interface() })
	case reflect.Struct:
		if fields, ok := fieldsOf(v.Type()); ok {
			return appendStruct(dst, v, fields)
		}
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String {
			return appendMap(dst, v)
		}
	}
	return appendForeign(dst, v.Interface())
}

func appendMap(dst []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	o := make(Object, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		o = append(o, Field{it.Key().String(), it.Value().Interface()})
	}
	sort.Slice(o, func(i, j int) bool { return o[i].Name < o[j].Name })
	return appendObject(dst, o)
}

// appendForeign leaves structs and types with their own encoding to
// encoding/json and rewrites the outcome in Python's style.
func appendForeign(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("write %T as JSON: %w", v, err)
	}
	tree, err := Decode(data)
	if err != nil {
		return dst, fmt.Errorf("write %T as JSON: %w", v, err)
	}
	return AppendJSON(dst, tree)
}

func appendObject(dst []byte, o Object) ([]byte, error) {
	dst = append(dst, '{')
	for i, f := range o {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(appendString(dst, f.Name), ": "...)
		var err error
		if dst, err = AppendJSON(dst, f.Value); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, n int, at func(int) any) ([]byte, error) {
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		var err error
		if dst, err = AppendJSON(dst, at(i)); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendBytes(dst []byte, b []byte) ([]byte, error) {
	if b == nil {
		return append(dst, "null"...), nil
	}
	if utf8.Valid(b) {
		return appendWrapped(dst, "bytes", string(b))
	}
	return appendWrapped(dst, "base64", base64.StdEncoding.EncodeToString(b))
}

// appendWrapped writes kombu's wrapper, an object of exactly these two members.
func appendWrapped(dst []byte, kind string, value any) ([]byte, error) {
	return appendObject(dst, Object{{"__type__", kind}, {"__value__", value}})
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= ' ' && r <= '~':
			dst = append(dst, byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\b':
			dst = append(dst, `\b`...)
		case r == '\f':
			dst = append(dst, `\f`...)
		case r > 0xffff:
			r -= 0x10000
			dst = appendUnicode(appendUnicode(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			dst = appendUnicode(dst, r)
		}
	}
	return append(dst, '"')
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
