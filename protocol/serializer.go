package protocol

import (
	"cmp"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Content types as kombu writes them. Bodies of type ContentTypeData (raw bytes,
// or the auth serializer's signed ones) and ContentTypeText hold no task.
const (
	ContentTypeJSON    = "application/json"
	ContentTypeMsgpack = "application/x-msgpack"
	ContentTypeYAML    = "application/x-yaml"
	ContentTypePickle  = "application/x-python-serialize"
	ContentTypeData    = "application/data"
	ContentTypeText    = "text/plain"
)

// serializer is one entry of kombu's registry. Bodies in other formats are
// rewritten as JSON in kombu's dialect, so that everything behind the decoder
// knows one format only.
type serializer struct {
	name     string
	mime     string
	encoding string // the content encoding that kombu announces
	toJSON   func([]byte) ([]byte, error)
	fromJSON func(Raw) ([]byte, error) // nil where we do not write
}

var serializers = []serializer{
	{"json", ContentTypeJSON, "utf-8", checkUTF8, func(body Raw) ([]byte, error) { return body, nil }},
	{"msgpack", ContentTypeMsgpack, "binary", msgpackToJSON, jsonToMsgpack},
	{"yaml", ContentTypeYAML, "utf-8", yamlToJSON, jsonToYAML},
	{"pickle", ContentTypePickle, "binary", pickleToJSON, nil},
}

// serializerOf finds a serializer by name or MIME type.
func serializerOf(name string) (serializer, bool) {
	for _, s := range serializers {
		if name == s.name || name == s.mime {
			return s, true
		}
	}
	return serializer{}, false
}

func checkUTF8(body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not valid UTF-8")
	}
	return body, nil
}

// maxDigits is how many digits an integer may have that is converted between
// bases, which takes more than linear time; Python refuses longer ones as well.
const maxDigits = 4300

// jsonWriter takes a value of another format as JSON, piece by piece, within the
// limits of nesting and size.
type jsonWriter struct {
	buf   []byte
	limit int // bytes; 0 means MaxBody
	depth int
}

// enter begins a container, leave ends it.
func (w *jsonWriter) enter(bracket byte) error {
	if w.depth++; w.depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	w.buf = append(w.buf, bracket)
	return nil
}

func (w *jsonWriter) leave(bracket byte) {
	w.depth--
	w.buf = append(w.buf, bracket)
}

// element goes before the i-th element or member of a container.
func (w *jsonWriter) element(i int) error {
	if i > 0 {
		w.buf = append(w.buf, ", "...)
	}
	if limit := cmp.Or(w.limit, MaxBody); len(w.buf) > limit {
		return fmt.Errorf("larger than %d bytes as JSON", limit)
	}
	return nil
}

// scalar writes any value that is no container.
func (w *jsonWriter) scalar(v any) (err error) {
	w.buf, err = AppendJSON(w.buf, v)
	return err
}

// key writes a member's name. Other formats have keys of other types than text;
// they become text as Python's json.dumps makes it.
func (w *jsonWriter) key(v any) error {
	name, ok := v.(string)
	if !ok {
		switch b, isBytes := v.([]byte); {
		case isBytes && utf8.Valid(b):
			name = string(b)
		case v == nil || isScalar(v):
			text, err := Marshal(v)
			if err != nil {
				return err
			}
			name = string(text)
		default:
			return fmt.Errorf("a mapping key of type %s", typeName(v))
		}
	}
	w.buf = append(appendString(w.buf, name), ": "...)
	return nil
}
