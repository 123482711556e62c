package dag

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// lookup finds the value that a placeholder names.
type lookup func(ref string) (protocol.Raw, error)

// placeholders lists the references in the strings of a JSON value.
func placeholders(v Value) []string {
	var refs []string
	if !mayHold(v) {
		return nil
	}
	tree, err := protocol.Decode(v)
	if err != nil {
		return nil
	}
	note := func(ref string) (protocol.Raw, error) {
		refs = append(refs, ref)
		return protocol.Raw("null"), nil
	}
	_, _ = expandTree(tree, note) // note never fails
	return refs
}

func mayHold(v Value) bool { return strings.Contains(string(v), "${") }

// expand replaces the placeholders in the strings of v. A string that is one
// placeholder becomes the value; inside a longer string a string is inserted as
// it is and any other value as JSON. "$${" stands for "${".
func expand(v Value, find lookup) (protocol.Raw, error) {
	if !mayHold(v) {
		return v.Raw(), nil
	}
	tree, err := protocol.Decode(v)
	if err != nil {
		return nil, err
	}
	if tree, err = expandTree(tree, find); err != nil {
		return nil, err
	}
	return protocol.Marshal(tree)
}

func expandTree(tree any, find lookup) (any, error) {
	var err error
	switch v := tree.(type) {
	case string:
		return expandString(v, find)
	case []any:
		for i := range v {
			if v[i], err = expandTree(v[i], find); err != nil {
				return nil, err
			}
		}
	case protocol.Object:
		for i := range v {
			if v[i].Value, err = expandTree(v[i].Value, find); err != nil {
				return nil, err
			}
		}
	}
	return tree, nil
}

func expandString(s string, find lookup) (any, error) {
	var out strings.Builder
	for rest := s; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			return out.String(), nil
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		ref, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			return nil, fmt.Errorf("%q: ${ without }", s)
		}
		value, err := find(strings.TrimSpace(ref))
		if err != nil {
			return nil, fmt.Errorf("${%s}: %w", ref, err)
		}
		if out.Len() == 0 && i == 0 && after == "" {
			return value, nil
		}
		out.WriteString(rest[:i] + textOf(value))
		rest = after
	}
}

// textOf is the form of a value inside a longer string.
func textOf(raw protocol.Raw) string {
	if v, err := protocol.Decode(raw); err == nil {
		if s, ok := v.(string); ok {
			return s
		}
	}
	return string(raw)
}

// descend follows members and indexes into a value.
func descend(raw protocol.Raw, steps []string) (protocol.Raw, error) {
	for _, step := range steps {
		next, err := child(raw, step)
		if err != nil {
			return nil, err
		}
		raw = next
	}
	return raw, nil
}

func child(raw protocol.Raw, step string) (protocol.Raw, error) {
	if fields, err := protocol.SplitObject(raw); err == nil {
		for i := len(fields) - 1; i >= 0; i-- {
			if fields[i].Name == step {
				return fields[i].Value, nil
			}
		}
		return nil, fmt.Errorf("the object has no member %q", step)
	}
	items, err := protocol.SplitArray(raw)
	if err != nil {
		return nil, fmt.Errorf("%q: the value is neither object nor array", step)
	}
	i, err := strconv.Atoi(step)
	if err != nil || i < 0 || i >= len(items) {
		return nil, fmt.Errorf("the array of %d has no element %q", len(items), step)
	}
	return items[i], nil
}

func isObject(v Value) bool {
	_, err := protocol.SplitObject(v)
	return err == nil
}

// accepts reports whether a value has the input's type.
func (in Input) accepts(v Value) bool {
	tree, err := protocol.Decode(v)
	if err != nil {
		return false
	}
	switch in.Type {
	case "":
		return true
	case "string":
		_, ok := tree.(string)
		return ok
	case "number", "integer":
		n, ok := tree.(json.Number)
		return ok && (in.Type == "number" || !strings.ContainsAny(n.String(), ".eENI"))
	case "boolean":
		_, ok := tree.(bool)
		return ok
	case "object":
		_, ok := tree.(protocol.Object)
		return ok
	case "array":
		_, ok := tree.([]any)
		return ok
	}
	return false
}
