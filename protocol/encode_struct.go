package protocol

import (
	"reflect"
	"strings"
	"sync"
)

// structField is one member that a struct is written with.
type structField struct {
	index     int
	name      string
	omitEmpty bool
	omitZero  bool
}

var structFields sync.Map // reflect.Type -> []structField, nil where encoding/json must do it

// fieldsOf reads a struct's json tags, once per type. Structs with embedded
// fields or the option "string" are left to encoding/json, whose rules for them
// are long.
func fieldsOf(t reflect.Type) ([]structField, bool) {
	if cached, ok := structFields.Load(t); ok {
		fields := cached.([]structField)
		return fields, fields != nil
	}
	fields := readFields(t)
	structFields.Store(t, fields)
	return fields, fields != nil
}

func readFields(t reflect.Type) []structField {
	fields := []structField{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || strings.Contains(options, "string") {
			return nil
		}
		if !f.IsExported() || name == "-" && options == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields = append(fields, structField{
			index: i, name: name,
			omitEmpty: strings.Contains(options, "omitempty"), omitZero: strings.Contains(options, "omitzero"),
		})
	}
	return fields
}

func appendStruct(dst []byte, v reflect.Value, fields []structField) ([]byte, error) {
	o := make(Object, 0, len(fields))
	for _, f := range fields {
		value := v.Field(f.index)
		if f.omitZero && value.IsZero() || f.omitEmpty && isEmpty(value) {
			continue
		}
		o = append(o, Field{f.name, value.Interface()})
	}
	return appendObject(dst, o)
}

// isEmpty is encoding/json's notion for omitempty.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
