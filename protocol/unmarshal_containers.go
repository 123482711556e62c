package protocol

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// assignWrapped stores a wrapped value, o, of the given kind.
func assignWrapped(o Object, kind string, value any, dst reflect.Value) error {
	if t, ok := registeredByMarker(kind); ok && (t == dst.Type() || isAny(dst)) {
		r, _ := registeredByType(t)
		inner, err := Marshal(value)
		if err != nil {
			return err
		}
		v, err := r.decode(inner)
		if err != nil {
			return fmt.Errorf("read %q as %s: %w", kind, t, err)
		}
		dst.Set(reflect.ValueOf(v))
		return nil
	}
	if isAny(dst) {
		dst.Set(reflect.ValueOf(goValue(o)))
		return nil
	}
	plain, known := plainWrapped(o)
	if !known {
		return assign(value, dst)
	}
	data, isBytes := plain.([]byte)
	if !isBytes {
		if kind == "uuid" && isByteArray(dst, 16) {
			digits := strings.ReplaceAll(plain.(string), "-", "")
			if id, err := hex.DecodeString(digits); err == nil && len(id) == 16 {
				reflect.Copy(dst, reflect.ValueOf(id))
				return nil
			}
		}
		return assign(plain, dst)
	}
	if dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Uint8 {
		dst.SetBytes(data)
		return nil
	}
	return assign(string(data), dst)
}

func isAny(dst reflect.Value) bool { return dst.Kind() == reflect.Interface && dst.NumMethod() == 0 }

func isByteArray(dst reflect.Value, n int) bool {
	return dst.Kind() == reflect.Array && dst.Len() == n && dst.Type().Elem().Kind() == reflect.Uint8
}

func assignAny(v any, dst reflect.Value) error {
	if !isAny(dst) {
		return errMisfit(v, dst)
	}
	dst.Set(reflect.ValueOf(goValue(v)))
	return nil
}

// goValue is a decoded value in the types that an any gets.
func goValue(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = goValue(v[i])
		}
	case Object:
		if known, ok := goWrapped(v); ok {
			return known
		}
		m := make(map[string]any, len(v))
		for _, f := range v {
			m[f.Name] = goValue(f.Value)
		}
		return m
	}
	return v
}

func goWrapped(o Object) (any, bool) {
	kind, value, ok := wrapped(o)
	if !ok {
		return nil, false
	}
	if t, ok := registeredByMarker(kind); ok {
		dst := reflect.New(t).Elem()
		err := assignWrapped(o, kind, value, dst)
		return dst.Interface(), err == nil
	}
	plain, ok := plainWrapped(o)
	if s, isString := plain.(string); isString && kind == "datetime" {
		t, err := ParseTime(s)
		return t, err == nil
	}
	return plain, ok
}

func assignStruct(v any, dst reflect.Value) error {
	o, ok := v.(Object)
	if !ok {
		return errMisfit(v, dst)
	}
	fields := fieldsOf(dst.Type())
	for _, member := range o {
		f, ok := fieldNamed(fields, member.Name)
		if !ok {
			continue
		}
		value := member.Value
		if s, ok := value.(string); ok && f.quoted {
			if inner, err := Decode([]byte(s)); err == nil {
				value = inner
			}
		}
		if err := assign(value, fieldToSet(dst, f.index)); err != nil {
			return inMember(member.Name, err)
		}
	}
	return nil
}

// fieldNamed prefers the exact name to one that differs in case.
func fieldNamed(fields []structField, name string) (structField, bool) {
	for _, f := range fields {
		if f.name == name {
			return f, true
		}
	}
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			return f, true
		}
	}
	return structField{}, false
}

// fieldToSet makes the embedded structs on the way to a field.
func fieldToSet(v reflect.Value, index []int) reflect.Value {
	for i, n := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v
}

func assignMap(v any, dst reflect.Value) error {
	o, ok := v.(Object)
	if !ok {
		return errMisfit(v, dst)
	}
	t := dst.Type()
	if dst.IsNil() {
		dst.Set(reflect.MakeMapWithSize(t, len(o)))
	}
	for _, f := range o {
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := assignKey(f.Name, key); err != nil {
			return err
		}
		if err := assign(f.Value, value); err != nil {
			return inMember(f.Name, err)
		}
		dst.SetMapIndex(key, value)
	}
	return nil
}

func assignKey(name string, key reflect.Value) (err error) {
	if into, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return into.UnmarshalText([]byte(name))
	}
	switch {
	case key.Kind() == reflect.String:
		key.SetString(name)
	case key.CanInt() || key.CanUint():
		if _, err = strconv.ParseFloat(name, 64); err != nil || !assignNumber(name, key) {
			return errMisfit(json.Number(name), key)
		}
	default:
		return errMisfit(name, key)
	}
	return nil
}

func assignList(v any, dst reflect.Value) error {
	if s, ok := v.(string); ok && dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Uint8 {
		dst.SetBytes([]byte(s))
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return errMisfit(v, dst)
	}
	if dst.Kind() == reflect.Slice {
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	}
	for i := range dst.Len() {
		if i >= len(list) {
			dst.Index(i).SetZero()
			continue
		}
		if err := assign(list[i], dst.Index(i)); err != nil {
			return inMember(strconv.Itoa(i), err)
		}
	}
	return nil
}
