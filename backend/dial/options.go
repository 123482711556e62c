package dial

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/umbel-go/umbel/internal/nearest"
	"github.com/umbel-go/umbel/protocol"
)

// settings are what the options of a backend say. Durations are as the drivers
// take them: 0 is the driver's default, negative is for ever.
type settings struct {
	expires, failureExpires, chordExpires time.Duration
	compression, serializer               string
	keyPrefix                             string
	unorderedChords                       bool
	persistent                            bool
}

// ErrOption is matched by the errors of OpenOptions about the name or the value
// of an option.
var ErrOption = errors.New("result backend option")

const transportOptions = "result_backend_transport_options"

// options are Celery's names of settings and what they set.
var options = map[string]func(*settings, any) error{
	"result_expires":         func(s *settings, v any) error { return lifetime(&s.expires, v) },
	"result_failure_expires": func(s *settings, v any) error { return optionalLifetime(&s.failureExpires, v) },
	"result_chord_expires":   func(s *settings, v any) error { return optionalLifetime(&s.chordExpires, v) },
	"result_compression":     func(s *settings, v any) error { return text(&s.compression, v) },
	"result_serializer":      func(s *settings, v any) error { return serializer(&s.serializer, v) },
	"result_persistent":      func(s *settings, v any) error { return truth(&s.persistent, v) },
	"result_chord_ordered":   chordOrdered,

	transportOptions + ".result_chord_ordered": chordOrdered,
	transportOptions + ".global_keyprefix":     func(s *settings, v any) error { return text(&s.keyPrefix, v) },
}

// parse reads options by Celery's names; transport options may also stand in a
// map of their own.
func parse(values map[string]any) (settings, error) {
	var s settings
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if inner, ok := values[name].(map[string]any); ok && name == transportOptions {
			for _, key := range slices.Sorted(maps.Keys(inner)) {
				if err := s.set(name+"."+key, inner[key]); err != nil {
					return s, err
				}
			}
			continue
		}
		if err := s.set(name, values[name]); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *settings) set(name string, value any) error {
	set, ok := options[name]
	if !ok {
		return unknown(name)
	}
	if err := set(s, value); err != nil {
		return fmt.Errorf("%w %s: %w", ErrOption, name, err)
	}
	return nil
}

func unknown(name string) error {
	known, hint := slices.Sorted(maps.Keys(options)), ""
	if meant := nearest.Name(name, known); meant != "" {
		hint = fmt.Sprintf("; did you mean %q?", meant)
	}
	return fmt.Errorf("%w %.80q is unknown%s (known: %s)", ErrOption, name, hint, strings.Join(known, ", "))
}

func chordOrdered(s *settings, v any) error {
	ordered := true
	err := truth(&ordered, v)
	s.unorderedChords = !ordered
	return err
}

// lifetime takes seconds as a number or text, a time.Duration or its text, and
// Celery's 0 and None for ever.
func lifetime(into *time.Duration, v any) error {
	var d time.Duration
	switch v := v.(type) {
	case nil:
	case time.Duration:
		d = v
	case string:
		n, err := strconv.ParseFloat(v, 64)
		if err == nil {
			return lifetime(into, n)
		}
		if d, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("%.40q is no number of seconds, and no duration such as 24h", v)
		}
	case int:
		return lifetime(into, float64(v))
	case int64:
		return lifetime(into, float64(v))
	case float64:
		if math.IsNaN(v) || math.Abs(v) > math.MaxInt64/float64(time.Second)/2 {
			return fmt.Errorf("%v is no number of seconds", v)
		}
		d = time.Duration(v * float64(time.Second))
	default:
		return fmt.Errorf("%v (%T) is no number of seconds", v, v)
	}
	if d < 0 {
		return fmt.Errorf("%v is in the past: 0 means for ever", v)
	}
	if d == 0 {
		d = -1
	}
	*into = d
	return nil
}

// optionalLifetime takes None as "like other results".
func optionalLifetime(into *time.Duration, v any) error {
	if v == nil {
		return nil
	}
	return lifetime(into, v)
}

func text(into *string, v any) error {
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("%v (%T) is no text", v, v)
	}
	*into = s
	return nil
}

func truth(into *bool, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		*into = v
		return nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			*into = b
			return nil
		}
	}
	return fmt.Errorf("%v (%T) is neither true nor false", v, v)
}

func serializer(into *string, v any) error {
	if err := text(into, v); err != nil {
		return err
	}
	_, _, _, err := protocol.SerializeResult(*into, protocol.Raw("null"))
	return err
}
