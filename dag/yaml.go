package dag

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxSource is the longest text of a definition, in bytes.
const MaxSource = 1 << 20

// Limits of a YAML text beside its size. They keep a small text from becoming a
// large tree (aliases) or a deep recursion.
const (
	maxYAMLNodes = 200_000
	maxYAMLDepth = 64
)

// ParseYAML reads and validates a definition. Unknown and duplicate fields are
// refused. The error is [Problems], with lines and columns.
func ParseYAML(text []byte) (*Definition, error) {
	root, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	var def Definition
	if err := yaml.NodeToValue(root, &def, yaml.DisallowUnknownField()); err != nil {
		return nil, yamlProblem(err)
	}
	if err := def.Validate(); err != nil {
		return nil, locate(root, err)
	}
	return &def, nil
}

// parseTree parses the text and replaces every alias by what it stands for.
func parseTree(text []byte) (ast.Node, error) {
	if len(text) > MaxSource {
		return nil, Problems{{Text: fmt.Sprintf("the definition has %d bytes, more than %d", len(text), MaxSource)}}
	}
	tokens := lexer.Tokenize(string(text))
	if err := checkDepth(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, yamlProblem(err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, Problems{{Text: "exactly one YAML document is expected"}}
	}
	x := expander{anchors: map[string]ast.Node{}}
	root := x.expand(file.Docs[0].Body, 0)
	if x.err != nil {
		return nil, x.err
	}
	return root, nil
}

// checkDepth refuses nesting that would make the parser recurse too deep. In
// block style a level costs at least one column, in flow style a bracket.
func checkDepth(tokens token.Tokens) error {
	flow := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			if t.Position != nil && t.Position.Column > 4*maxYAMLDepth {
				return at(t, "nested too deep")
			}
		}
		if flow > maxYAMLDepth {
			return at(t, "nested too deep")
		}
	}
	return nil
}

// expander replaces aliases, counting what the tree grows to.
type expander struct {
	anchors map[string]ast.Node
	nodes   int
	err     error
}

func (x *expander) expand(n ast.Node, depth int) ast.Node {
	if x.nodes++; x.err != nil || n == nil {
		return n
	}
	if x.nodes > maxYAMLNodes || depth > maxYAMLDepth {
		x.err = at(n.GetToken(), "the document is too large or nested too deep once its aliases are replaced")
		return n
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		value := x.expand(n.Value, depth)
		x.anchors[n.Name.GetToken().Value] = value
		return value
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		value, ok := x.anchors[name]
		if !ok {
			x.err = at(n.Start, fmt.Sprintf("alias *%s has no anchor &%s before it", name, name))
			return n
		}
		return x.expand(value, depth)
	case *ast.MappingNode:
		for _, v := range n.Values {
			x.expand(v, depth)
		}
	case *ast.MappingValueNode:
		n.Value = x.expand(n.Value, depth+1)
	case *ast.SequenceNode:
		for i, v := range n.Values {
			n.Values[i] = x.expand(v, depth+1)
		}
	case *ast.TagNode:
		x.err = at(n.Start, "YAML tags are not supported here")
	}
	return n
}

// at is a problem at a token.
func at(t *token.Token, text string) Problems {
	p := Problem{Text: text}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	return Problems{p}
}

// yamlProblem turns an error of the YAML package into ours.
func yamlProblem(err error) error {
	var mine Problems
	if errors.As(err, &mine) {
		return mine
	}
	var positioned yaml.Error
	if errors.As(err, &positioned) {
		return at(positioned.GetToken(), positioned.GetMessage())
	}
	return Problems{{Text: err.Error()}}
}

// locate adds the positions of the fields to problems of the validation; a field
// that is not written has the position of the nearest one around it.
func locate(root ast.Node, err error) error {
	var problems Problems
	if !errors.As(err, &problems) {
		return err
	}
	for i, p := range problems {
		for field := p.Field; field != ""; field = parentField(field) {
			path, err := yaml.PathString("$." + field)
			if err != nil {
				continue
			}
			if n, err := path.FilterNode(root); err == nil && n != nil {
				pos := n.GetToken().Position
				problems[i].Line, problems[i].Column = pos.Line, pos.Column
				break
			}
		}
	}
	return problems
}

// parentField cuts the last step off "nodes[1].args[0]".
func parentField(field string) string { return field[:max(0, strings.LastIndexAny(field, ".["))] }
