package dag

import (
	"encoding/json"
	"regexp"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/umbel-go/umbel/protocol"
)

// UnmarshalYAML turns a YAML node into JSON. Mappings keep their order and
// numbers their text where JSON allows it.
func (v *Value) UnmarshalYAML(n ast.Node) error {
	tree, err := jsonTree(n)
	if err != nil {
		return err
	}
	raw, err := ValueOf(tree)
	if err != nil {
		return at(n.GetToken(), err.Error())
	}
	*v = raw
	return nil
}

// UnmarshalYAML reads either notation.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	var v Value
	err := v.UnmarshalYAML(n)
	if err == nil {
		err = d.UnmarshalJSON(v)
	}
	if err != nil {
		return at(n.GetToken(), err.Error())
	}
	return nil
}

// wholeNumber is a plain scalar that the YAML package takes for a string only
// because it is too large for its integers.
var wholeNumber = regexp.MustCompile(`^-?[1-9][0-9]{18,}$`)

// jsonTree builds the values that protocol.Marshal writes.
func jsonTree(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.NullNode:
		return nil, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.StringNode:
		if t := n.GetToken(); t.Type == token.StringType && wholeNumber.MatchString(t.Value) {
			return json.Number(t.Value), nil
		}
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode:
		return number(n.GetToken().Value, n.Value), nil
	case *ast.FloatNode:
		return number(n.GetToken().Value, n.Value), nil
	case *ast.SequenceNode:
		out := make([]any, len(n.Values))
		for i, e := range n.Values {
			var err error
			if out[i], err = jsonTree(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *ast.MappingNode:
		return jsonObject(n.Values)
	case *ast.MappingValueNode:
		return jsonObject([]*ast.MappingValueNode{n})
	}
	return nil, at(n.GetToken(), "a YAML "+n.Type().String()+" has no form in JSON; quote it to make it a string")
}

func jsonObject(members []*ast.MappingValueNode) (any, error) {
	o := make(protocol.Object, 0, len(members))
	for _, m := range members {
		key, ok := m.Key.(ast.ScalarNode)
		if !ok {
			return nil, at(m.GetToken(), "a key must be a string here")
		}
		name, ok := key.GetValue().(string)
		if !ok {
			name = key.GetToken().Value
		}
		value, err := jsonTree(m.Value)
		if err != nil {
			return nil, err
		}
		o = append(o, protocol.Field{Name: name, Value: value})
	}
	return o, nil
}

// number keeps the text of a number that JSON can read.
func number(text string, value any) any {
	if json.Valid([]byte(text)) {
		return json.Number(text)
	}
	return value
}
