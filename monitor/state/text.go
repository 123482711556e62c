package state

import (
	"database/sql/driver"
	"fmt"

	"github.com/umbel-go/umbel/protocol"
)

// Text is a field that Celery sends as text (mostly a Python repr) and other
// producers may send as any JSON value. The zero Text is null.
type Text struct {
	// Valid is false for null.
	Valid bool
	// String is the text or, when JSON is set, a JSON value that is no string.
	String string
	JSON   bool
}

// TextOf keeps a decoded JSON value.
func TextOf(v any) Text {
	switch v := v.(type) {
	case nil:
		return Text{}
	case string:
		return Text{Valid: true, String: v}
	}
	raw, err := protocol.Marshal(v)
	if err != nil {
		return Text{Valid: true, String: fmt.Sprint(v)}
	}
	return Text{Valid: true, String: string(raw), JSON: true}
}

// Any is the value for protocol.AppendJSON: nil, a string or protocol.Raw.
func (t Text) Any() any {
	switch {
	case !t.Valid:
		return nil
	case t.JSON:
		return protocol.Raw(t.String)
	}
	return t.String
}

// Value stores text as TEXT, another JSON value as BLOB, null as NULL.
func (t Text) Value() (driver.Value, error) {
	switch {
	case !t.Valid:
		return nil, nil
	case t.JSON:
		return []byte(t.String), nil
	}
	return t.String, nil
}

// Scan reads what Value stored.
func (t *Text) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Text{}
	case string:
		*t = Text{Valid: true, String: v}
	case []byte:
		*t = Text{Valid: true, String: string(v), JSON: true}
	default:
		return fmt.Errorf("scan text field: a %T", src)
	}
	return nil
}
