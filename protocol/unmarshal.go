package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Unmarshal stores a JSON value of kombu's dialect in the value that into points
// to, by the rules of encoding/json, and after undoing kombu's wrappers: a
// datetime fits time.Time and string, bytes fit []byte and, at the top, string,
// decimals and UUIDs fit string. Numbers in an any arrive as json.Number, so
// that large integers stay exact. NaN and Infinity fit a float64 at the top.
func Unmarshal(raw Raw, into any) error {
	switch into := into.(type) {
	case *Raw:
		*into = append(Raw(nil), raw...)
		return nil
	case *float64:
		if v, err := Decode(raw); err == nil {
			if n, ok := v.(json.Number); ok {
				*into = Float(n)
				return nil
			}
		}
	case *[]byte:
		return unmarshalBytes(raw, into)
	case *time.Time:
		t, err := rawTime(raw)
		*into = t
		return err
	}
	if needsPlain(raw) {
		var err error
		if raw, err = plainJSON(raw); err != nil {
			return err
		}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err := d.Decode(into)
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		where := ""
		if mismatch.Field != "" {
			where = " in " + mismatch.Field
		}
		return fmt.Errorf("%s%s where %s is expected", mismatch.Value, where, mismatch.Type)
	}
	if err != nil && strings.Contains(err.Error(), "invalid number literal") { // a string for a json.Number
		return errors.New("string where a number is expected")
	}
	return err
}

// needsPlain reports whether encoding/json would not understand the value as it
// stands: wrapped values, or bare words that JSON lacks.
func needsPlain(raw Raw) bool {
	return bytes.Contains(raw, []byte(`"__type__"`)) || bytes.Contains(raw, []byte("NaN")) || bytes.Contains(raw, []byte("Infinity"))
}

func plainJSON(raw Raw) (Raw, error) {
	v, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	if o, ok := v.(Object); ok {
		if kind, value, ok := wrapped(o); ok && kind == "bytes" {
			return Marshal(value)
		}
	}
	if v, err = unwrap(v); err != nil {
		return nil, err
	}
	return Marshal(v)
}

func unwrap(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if v == "NaN" || v == "Infinity" || v == "-Infinity" {
			return nil, fmt.Errorf("%s inside a value fits no Go type: take the argument as protocol.Raw", v)
		}
	case []any:
		for i := range v {
			if v[i], err = unwrap(v[i]); err != nil {
				return nil, err
			}
		}
	case Object:
		if kind, value, ok := wrapped(v); ok {
			return unwrapped(kind, value), nil
		}
		for i := range v {
			if v[i].Value, err = unwrap(v[i].Value); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// unwrapped is the plain form of a wrapped value; types that an application
// registered itself keep their inner value.
func unwrapped(kind string, value any) any {
	switch s, isString := value.(string); {
	case kind == "bytes" && isString:
		return base64.StdEncoding.EncodeToString([]byte(s))
	case kind == "uuid" && !isString:
		o, _ := value.(Object)
		return dashed(o.String("hex"))
	case kind == "datetime" && isString:
		if t, err := ParseTime(s); err == nil {
			return t.Format(time.RFC3339Nano)
		}
	}
	return value
}

func unmarshalBytes(raw Raw, into *[]byte) error {
	v, err := Decode(raw)
	if err != nil {
		return err
	}
	if o, ok := v.(Object); ok {
		kind, value, _ := wrapped(o)
		s, _ := value.(string)
		if kind == "base64" {
			*into, err = base64.StdEncoding.DecodeString(s)
			return err
		}
		if kind == "bytes" {
			v = s
		}
	}
	switch v := v.(type) {
	case nil:
		*into = nil
	case string:
		*into = []byte(v)
	default:
		return fmt.Errorf("JSON %s does not fit []byte", typeName(v))
	}
	return nil
}
