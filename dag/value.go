package dag

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// Value is one JSON value as it was written, so that 1, 1.0 and large integers
// survive. The zero Value is absent, which is not null.
type Value json.RawMessage

// ValueOf encodes v, which must be something that JSON can hold.
func ValueOf(v any) (Value, error) {
	raw, err := protocol.Marshal(v)
	if err != nil {
		return nil, err
	}
	if !json.Valid(raw) {
		return nil, errors.New("NaN and Infinity are no JSON")
	}
	return Value(raw), nil
}

// Raw is the value as the protocol package takes it.
func (v Value) Raw() protocol.Raw { return protocol.Raw(v) }

// MarshalJSON writes the value; an absent one is null.
func (v Value) MarshalJSON() ([]byte, error) { return json.RawMessage(v).MarshalJSON() }

// UnmarshalJSON keeps the text of the value.
func (v *Value) UnmarshalJSON(data []byte) error {
	*v = append((*v)[:0], data...)
	return nil
}

// Duration is a length of time, written as a Go duration ("90s", "10m") or as a
// number of seconds.
type Duration time.Duration

// String is the Go notation.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the Go notation.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads either notation.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		parsed, err := time.ParseDuration(v)
		if err != nil {
			return fmt.Errorf("%q is no duration; write 90s, 10m or a number of seconds", v)
		}
		*d = Duration(parsed)
	case float64:
		if !(v >= -maxSeconds && v <= maxSeconds) {
			return fmt.Errorf("%v seconds are out of range", v)
		}
		*d = Duration(v * float64(time.Second))
	default:
		return fmt.Errorf("%v is no duration; write 90s, 10m or a number of seconds", v)
	}
	return nil
}

// maxSeconds keeps a number of seconds inside a time.Duration.
const maxSeconds = 100 * 365 * 24 * 3600
