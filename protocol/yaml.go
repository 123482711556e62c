package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// maxYAML bounds a YAML body, in bytes: its syntax tree takes a hundred times the
// memory of the text. PyYAML needs most of a minute for as much.
const maxYAML = 4 << 20

// yamlToJSON reads what kombu's yaml serializer writes, PyYAML's safe_dump, with
// the tags and scalar forms of YAML 1.1 that its safe_load understands. The
// library parses (it shares its grammar with PyYAML, YAML 1.2 parsers do not);
// what a scalar means is decided here.
func yamlToJSON(body []byte) ([]byte, error) {
	if len(body) > maxYAML {
		return nil, fmt.Errorf("YAML: larger than %d bytes: send it as json or msgpack", maxYAML)
	}
	documents := yaml.NewDecoder(bytes.NewReader(body))
	var document, more yaml.Node
	if err := documents.Decode(&document); errors.Is(err, io.EOF) {
		return []byte("null"), nil
	} else if err != nil {
		return nil, err
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("YAML: more than one document")
	}
	// Without aliases, which may repeat anything, JSON is at most four times as long.
	r := yamlReader{jsonWriter{limit: 4 * maxYAML}}
	if err := r.value(document.Content[0]); err != nil {
		return nil, fmt.Errorf("YAML: %w", err)
	}
	return r.out.buf, nil
}

type yamlReader struct{ out jsonWriter }

func (r *yamlReader) value(n *yaml.Node) error {
	switch n.Kind {
	case yaml.AliasNode: // PyYAML writes a list or mapping that occurs twice once
		return r.value(n.Alias)
	case yaml.SequenceNode:
		return r.sequence(n)
	case yaml.MappingNode:
		return r.mapping(n)
	}
	v, err := yamlScalar(n)
	if err != nil {
		return err
	}
	return r.out.scalar(v)
}

func (r *yamlReader) sequence(n *yaml.Node) error {
	if tag := yamlTag(n); tag != "" && tag != "!!seq" {
		return errYAMLTag(tag)
	}
	if err := r.out.enter('['); err != nil {
		return err
	}
	for i, e := range n.Content {
		if err := r.out.element(i); err != nil {
			return err
		}
		if err := r.value(e); err != nil {
			return err
		}
	}
	r.out.leave(']')
	return nil
}

// mapping also reads a set, which is a mapping to nulls, as a list.
func (r *yamlReader) mapping(n *yaml.Node) error {
	tag, open, closing := yamlTag(n), byte('{'), byte('}')
	switch tag {
	case "", "!!map":
	case "!!set":
		open, closing = '[', ']'
	default:
		return errYAMLTag(tag)
	}
	if err := r.out.enter(open); err != nil {
		return err
	}
	for i := 0; i < len(n.Content); i += 2 {
		if err := r.out.element(i); err != nil {
			return err
		}
		if err := r.member(n.Content[i], n.Content[i+1], open == '['); err != nil {
			return err
		}
	}
	r.out.leave(closing)
	return nil
}

func (r *yamlReader) member(name, value *yaml.Node, ofSet bool) error {
	if ofSet {
		return r.value(name)
	}
	if name.Kind == yaml.AliasNode {
		name = name.Alias
	}
	if name.Kind != yaml.ScalarNode {
		return errors.New("a mapping key that is no scalar")
	}
	v, err := yamlScalar(name)
	if err != nil {
		return fmt.Errorf("mapping key: %w", err)
	}
	if err := r.out.key(v); err != nil {
		return err
	}
	return r.value(value)
}

// yamlTag is the tag that stands in the text, if one does.
func yamlTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle != 0 {
		return n.Tag
	}
	return ""
}

func errYAMLTag(tag string) error {
	return &Error{Kind: KindContent, Reason: fmt.Sprintf("the YAML tag %.60q means a Python object, which only Python could make", tag)}
}
