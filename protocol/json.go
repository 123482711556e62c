package protocol

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Raw is one JSON value in kombu's dialect, as it stood on the wire. It may hold
// NaN and Infinity, which encoding/json refuses, so read it with Decode and
// write it with AppendJSON or Marshal, not with encoding/json.
type Raw = json.RawMessage

// Object is a JSON object in its own order: Python dictionaries keep theirs,
// and reprs and header tables show it.
type Object []Field

// Field is one member of an Object.
type Field struct {
	Name  string
	Value any
}

// Get returns the value of the named member.
func (o Object) Get(name string) (any, bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// String returns the named member when it is a string, else "".
func (o Object) String(name string) string {
	v, _ := o.Get(name)
	s, _ := v.(string)
	return s
}

// Set returns o with the member added or replaced. Like append, it may write
// into o.
func (o Object) Set(name string, value any) Object {
	for i := range o {
		if o[i].Name == name {
			o[i].Value = value
			return o
		}
	}
	return append(o, Field{name, value})
}

// Without returns a copy of o that lacks the named members.
func (o Object) Without(names ...string) Object {
	out := make(Object, 0, len(o))
next:
	for _, f := range o {
		for _, n := range names {
			if f.Name == n {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// MarshalJSON writes the object in its own order, in Python's style.
func (o Object) MarshalJSON() ([]byte, error) { return AppendJSON(nil, o) }

// maxDepth bounds nesting in every format: a deeper value is refused, not
// recursed into. Python's own limit is as high.
const maxDepth = 1000

// Decode reads one JSON value in kombu's dialect: nil, bool, string,
// json.Number (its literal kept; also "NaN", "Infinity", "-Infinity"), []any or
// Object. A later duplicate member wins, as in Python.
func Decode(data []byte) (any, error) {
	p := parser{data: data}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos != len(p.data) {
		return nil, p.errorf("text after the value")
	}
	return v, nil
}

// DecodeObject reads a JSON object.
func DecodeObject(data []byte) (Object, error) {
	v, err := Decode(data)
	if err != nil {
		return nil, err
	}
	o, ok := v.(Object)
	if !ok {
		return nil, fmt.Errorf("JSON %s where an object is expected", typeName(v))
	}
	return o, nil
}

// SplitArray returns the elements of a JSON array without decoding them.
func SplitArray(data []byte) ([]Raw, error) {
	out := []Raw{}
	p := parser{data: data}
	err := p.array(0, func() error {
		raw, err := p.raw(1)
		out = append(out, raw)
		return err
	})
	if err == nil {
		err = p.end()
	}
	return out, err
}

// RawField is one member of a JSON object whose value is not decoded.
type RawField struct {
	Name  string
	Value Raw
}

// SplitObject returns the members of a JSON object without decoding their
// values.
func SplitObject(data []byte) ([]RawField, error) {
	out := []RawField{}
	p := parser{data: data}
	err := p.object(0, func(name string) error {
		raw, err := p.raw(1)
		out = append(out, RawField{name, raw})
		return err
	})
	if err == nil {
		err = p.end()
	}
	return out, err
}

type parser struct {
	data []byte
	pos  int
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("JSON at byte %d: %s", p.pos, fmt.Sprintf(format, args...))
}

func (p *parser) end() error {
	if p.space(); p.pos != len(p.data) {
		return p.errorf("text after the value")
	}
	return nil
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.space(); p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *parser) raw(depth int) (Raw, error) {
	p.space()
	start := p.pos
	if err := p.skip(depth); err != nil {
		return nil, err
	}
	return Raw(p.data[start:p.pos:p.pos]), nil
}

// skip checks one value and moves behind it without building it.
func (p *parser) skip(depth int) error {
	switch p.peek() {
	case '{':
		return p.object(depth, func(string) error { return p.skip(depth + 1) })
	case '[':
		return p.array(depth, func() error { return p.skip(depth + 1) })
	}
	_, err := p.value(depth)
	return err
}

func (p *parser) value(depth int) (any, error) {
	switch c := p.peek(); {
	case c == '{':
		o := Object{}
		var at map[string]int
		err := p.object(depth, func(name string) error {
			v, err := p.value(depth + 1)
			if len(o) == 16 && at == nil {
				at = make(map[string]int, 32)
				for i, f := range o {
					at[f.Name] = i
				}
			}
			o, at = put(o, at, name, v)
			return err
		})
		return o, err
	case c == '[':
		a := []any{}
		err := p.array(depth, func() error {
			v, err := p.value(depth + 1)
			a = append(a, v)
			return err
		})
		return a, err
	case c == '"':
		return p.str()
	default:
		return p.word()
	}
}

// put sets a member as Object.Set does, by way of an index once the object is
// large, so that decoding stays linear.
func put(o Object, at map[string]int, name string, v any) (Object, map[string]int) {
	if at == nil {
		return o.Set(name, v), nil
	}
	if i, ok := at[name]; ok {
		o[i].Value = v
		return o, at
	}
	at[name] = len(o)
	return append(o, Field{name, v}), at
}

func (p *parser) object(depth int, member func(string) error) error {
	if p.peek() != '{' {
		return p.errorf("an object is expected")
	}
	if depth > maxDepth {
		return p.errorf("nested deeper than %d", maxDepth)
	}
	p.pos++
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	for {
		if p.peek() != '"' {
			return p.errorf("a member name is expected")
		}
		name, err := p.str()
		if err != nil {
			return err
		}
		if p.peek() != ':' {
			return p.errorf("a colon is expected")
		}
		p.pos++
		if err := member(name); err != nil {
			return err
		}
		if done, err := p.next('}'); done || err != nil {
			return err
		}
	}
}

func (p *parser) array(depth int, element func() error) error {
	if p.peek() != '[' {
		return p.errorf("an array is expected")
	}
	if depth > maxDepth {
		return p.errorf("nested deeper than %d", maxDepth)
	}
	p.pos++
	if p.peek() == ']' {
		p.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if done, err := p.next(']'); done || err != nil {
			return err
		}
	}
}

// next takes the comma or the closing bracket after a member.
func (p *parser) next(closing byte) (done bool, err error) {
	switch p.peek() {
	case closing:
		p.pos++
		return true, nil
	case ',':
		p.pos++
		return false, nil
	}
	return false, p.errorf("a comma or %q is expected", closing)
}

// word reads a literal or a number.
func (p *parser) word() (any, error) {
	start := p.pos
	for p.pos < len(p.data) && isWord(p.data[p.pos]) {
		p.pos++
	}
	switch w := string(p.data[start:p.pos]); w {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "NaN", "Infinity", "-Infinity":
		return json.Number(w), nil
	default:
		if !isNumber(w) {
			p.pos = start
			return nil, p.errorf("a value is expected")
		}
		return json.Number(w), nil
	}
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// isNumber holds to the grammar of RFC 8259.
func isNumber(s string) bool {
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' || !digits() {
		return false
	}
	if s != "" && s[0] == '.' {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return digits() && s == ""
	}
	return s == ""
}

func (p *parser) str() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			s := string(p.data[start:p.pos])
			p.pos++
			return s, nil
		case c == '\\':
			return p.escaped(append([]byte(nil), p.data[start:p.pos]...))
		case c < ' ':
			return "", p.errorf("control character in a string")
		}
		p.pos++
	}
	return "", p.errorf("unfinished string")
}

func (p *parser) escaped(buf []byte) (string, error) {
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		p.pos++
		switch {
		case c == '"':
			return string(buf), nil
		case c < ' ':
			return "", p.errorf("control character in a string")
		case c != '\\':
			buf = append(buf, c)
		default:
			var err error
			if buf, err = p.escape(buf); err != nil {
				return "", err
			}
		}
	}
	return "", p.errorf("unfinished string")
}

var shortEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (p *parser) escape(buf []byte) ([]byte, error) {
	if p.pos == len(p.data) {
		return nil, p.errorf("unfinished string")
	}
	c := p.data[p.pos]
	p.pos++
	if c != 'u' {
		b, ok := shortEscapes[c]
		if !ok {
			return nil, p.errorf("unknown escape \\%c", c)
		}
		return append(buf, b), nil
	}
	r, err := p.hex4()
	if err != nil {
		return nil, err
	}
	if utf16.IsSurrogate(r) && p.pos+1 < len(p.data) && p.data[p.pos] == '\\' && p.data[p.pos+1] == 'u' {
		back := p.pos
		p.pos += 2
		low, err := p.hex4()
		if err != nil {
			return nil, err
		}
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			return utf8.AppendRune(buf, both), nil
		}
		p.pos = back
	}
	return utf8.AppendRune(buf, r), nil
}

func (p *parser) hex4() (rune, error) {
	if p.pos+4 > len(p.data) {
		return 0, p.errorf("unfinished string")
	}
	n, err := strconv.ParseUint(string(p.data[p.pos:p.pos+4]), 16, 16)
	if err != nil {
		return 0, p.errorf("bad \\u escape")
	}
	p.pos += 4
	return rune(n), nil
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		return "number"
	case []any:
		return "array"
	case Object:
		return "object"
	}
	return fmt.Sprintf("%T", v)
}
