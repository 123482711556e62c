package protocol

import "encoding/json"

// Options of a signature are set by Go programs and come over the wire, where
// they are Raw until somebody reads them.

// decoded is a member as Decode gives it, whether it was set in Go or came over
// the wire.
func decoded(o Object, name string) any {
	v, _ := o.Get(name)
	if raw, ok := v.(json.RawMessage); ok {
		v, _ = Decode(raw)
	}
	return v
}

func textOption(o Object, name string) string {
	s, _ := decoded(o, name).(string)
	return s
}

// intOption is a whole number, nil without one.
func intOption(o Object, name string) *int {
	switch v := decoded(o, name).(type) {
	case int, int64, json.Number, float64:
		n := int(Float(v))
		return &n
	}
	return nil
}

// stampNames are the names in stamped_headers; the stamps themselves lie flat
// among the options.
func stampNames(o Object) []string {
	switch v := decoded(o, "stamped_headers").(type) {
	case []string:
		return append([]string{}, v...)
	case []any:
		names := make([]string, 0, len(v))
		for _, n := range v {
			if n, ok := n.(string); ok {
				names = append(names, n)
			}
		}
		return names
	}
	return nil
}

func pick(o Object, names ...string) Object {
	out := Object{}
	for _, n := range names {
		if v, ok := o.Get(n); ok {
			out = append(out, Field{n, v})
		}
	}
	return out
}
