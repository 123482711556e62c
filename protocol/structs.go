package protocol

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// structField is one member that a struct is read or written with.
type structField struct {
	index     []int // as reflect.Value.FieldByIndex takes it
	name      string
	tagged    bool
	omitEmpty bool
	omitZero  bool
	quoted    bool // the option "string"
}

var structFields sync.Map // reflect.Type -> []structField

// fieldsOf reads a struct's json tags by the rules of encoding/json, once per
// type: fields of embedded structs count as the outer struct's, and of several
// with one name the least deep wins, then a tagged one, else none.
func fieldsOf(t reflect.Type) []structField {
	if cached, ok := structFields.Load(t); ok {
		return cached.([]structField)
	}
	all := collectFields(nil, t, nil, map[reflect.Type]bool{})
	fields := slices.DeleteFunc(slices.Clone(all), func(f structField) bool { return !dominant(f, all) })
	slices.SortFunc(fields, func(a, b structField) int { return slices.Compare(a.index, b.index) })
	structFields.Store(t, fields)
	return fields
}

// dominant reports whether no other field of that name goes before f or ties
// with it.
func dominant(f structField, all []structField) bool {
	for _, other := range all {
		if other.name != f.name || slices.Equal(other.index, f.index) {
			continue
		}
		if len(other.index) < len(f.index) || len(other.index) == len(f.index) && (other.tagged || !f.tagged) {
			return false
		}
	}
	return true
}

func collectFields(fields []structField, t reflect.Type, prefix []int, above map[reflect.Type]bool) []structField {
	above[t] = true
	defer delete(above, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		index := append(slices.Clone(prefix), i)
		if f.Anonymous && name == "" {
			inner := f.Type
			if inner.Kind() == reflect.Pointer && f.IsExported() { // an unexported one cannot be set
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				if !above[inner] {
					fields = collectFields(fields, inner, index, above)
				}
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		field := structField{index: index, name: name, tagged: name != ""}
		if name == "" {
			field.name = f.Name
		}
		for option := range strings.SplitSeq(options, ",") {
			field.omitEmpty = field.omitEmpty || option == "omitempty"
			field.omitZero = field.omitZero || option == "omitzero"
			field.quoted = field.quoted || option == "string"
		}
		fields = append(fields, field)
	}
	return fields
}

// structure writes a struct by its json tags.
func (e *encoder) structure(v reflect.Value) error {
	fields := fieldsOf(v.Type())
	o := make(Object, 0, len(fields))
	for _, f := range fields {
		value, err := v.FieldByIndexErr(f.index)
		if err != nil || f.omitZero && isZero(value) || f.omitEmpty && isEmpty(value) { // the error is a nil embedded pointer
			continue
		}
		member := value.Interface()
		if f.quoted && isBasic(value.Kind()) {
			text, err := Marshal(member)
			if err != nil {
				return err
			}
			member = string(text)
		}
		o = append(o, Field{f.name, member})
	}
	return e.members(o)
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

// isZero is encoding/json's notion for omitzero: a method decides where there
// is one, as of time.Time.
func isZero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		return z.IsZero()
	}
	return v.IsZero()
}

// isBasic are the kinds that the tag option "string" quotes.
func isBasic(k reflect.Kind) bool { return k >= reflect.Bool && k <= reflect.Float64 }
