package protocol

import "encoding/base64"

// wrapped recognises kombu's {"__type__", "__value__"} objects.
func wrapped(o Object) (kind string, value any, ok bool) {
	if len(o) != 2 {
		return "", nil, false
	}
	kind = o.String("__type__")
	value, has := o.Get("__value__")
	return kind, value, kind != "" && has
}

// wrap is kombu's wrapper, an object of exactly these two members.
func wrap(kind string, value any) Object {
	return Object{{"__type__", kind}, {"__value__", value}}
}

// plainWrapped is the plain form of a value that kombu itself wraps: []byte for
// bytes, text for dates, decimals and UUIDs. It is not ok for any other object.
func plainWrapped(o Object) (any, bool) {
	kind, value, ok := wrapped(o)
	if !ok {
		return nil, false
	}
	s, isString := value.(string)
	switch kind {
	case "bytes":
		return []byte(s), isString
	case "base64":
		data, err := base64.StdEncoding.DecodeString(s)
		return data, isString && err == nil
	case "datetime", "date", "time", "decimal":
		return s, isString
	case "uuid":
		fields, isObject := value.(Object)
		return dashed(fields.String("hex")), isObject
	}
	return nil, false
}

// dashed writes the hex digits of a UUID as UUIDs are shown.
func dashed(hex string) string {
	if len(hex) != 32 {
		return hex
	}
	return hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:]
}
