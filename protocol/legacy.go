package protocol

import (
	"bytes"
	"strings"
)

// MarshalLegacy writes a value for peers with kombu before 5.3 (Celery 4.x to
// 5.2), which know no wrappers: a datetime is ISO text with Z for UTC, a date the
// text of its midnight, times, decimals and UUIDs are text. Bytes, which those
// peers cannot write at all, are the text that they hold, or base64 where they
// hold none. Values that are wrapped already are unwrapped; types of RegisterType
// lose their wrapper. In all else it is Marshal.
func MarshalLegacy(v any) (Raw, error) {
	e := encoder{legacy: true}
	err := e.value(v)
	return e.buf, err
}

// legacyPlain is what a wrapped value is without its wrapper; not ok for objects
// that are none.
func legacyPlain(o Object) (any, bool) {
	kind, value, ok := wrapped(o)
	if !ok {
		return nil, false
	}
	text, isText := value.(string)
	switch {
	case kind == "datetime" && isText:
		if s, ok := strings.CutSuffix(text, "+00:00"); ok {
			text = s + "Z"
		}
		return text, true
	case kind == "date" && isText:
		return text + "T00:00:00", true
	case kind == "bytes" || kind == "base64":
		return value, isText
	}
	if plain, ok := plainWrapped(o); ok {
		return plain, true
	}
	if _, ok := registeredByMarker(kind); ok {
		return value, true
	}
	return nil, false
}

// hasWrapper is true where JSON may hold a wrapped value.
func hasWrapper(raw Raw) bool { return bytes.Contains(raw, []byte(`"__type__"`)) }
