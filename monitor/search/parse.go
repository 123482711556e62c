package search

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/umbel-go/umbel/protocol"
)

// Parse reads a query. A bad one gives a *SyntaxError.
func Parse(text string) (*Query, error) {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > maxLength {
		return nil, &SyntaxError{fmt.Sprintf("Query exceeds %d characters", maxLength), -1}
	}
	tokens, err := tokenize([]rune(text))
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens}
	if p.current().kind == endToken {
		return &Query{Op: All}, nil
	}
	q, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if t := p.current(); t.kind != endToken {
		return nil, unexpected(t)
	}
	return q, nil
}

type tokenKind int

const (
	endToken tokenKind = iota
	openToken
	closeToken
	andToken
	orToken
	termToken
)

type token struct {
	kind tokenKind
	text string
	at   int
}

func unexpected(t token) error {
	return &SyntaxError{"Unexpected " + protocol.Repr(t.text), t.at}
}

func tokenize(text []rune) ([]token, error) {
	var out []token
	for i := 0; i < len(text); {
		if unicode.IsSpace(text[i]) {
			i++
			continue
		}
		t, next, err := readToken(text, i)
		if err != nil {
			return nil, err
		}
		if out = append(out, t); len(out) > maxTokens {
			return nil, &SyntaxError{fmt.Sprintf("Query exceeds %d tokens", maxTokens), -1}
		}
		i = next
	}
	return append(out, token{endToken, "", len(text)}), nil
}

func readToken(text []rune, start int) (t token, next int, err error) {
	switch text[start] {
	case '(':
		return token{openToken, "(", start}, start + 1, nil
	case ')':
		return token{closeToken, ")", start}, start + 1, nil
	}
	word, next, quoted, err := readWord(text, start)
	t = token{termToken, word, start}
	switch {
	case err != nil:
	case word == "":
		err = &SyntaxError{"Empty search term", start}
	case quoted:
	case word == "AND":
		t.kind = andToken
	case word == "OR":
		t.kind = orToken
	case word == "NOT":
		err = &SyntaxError{"NOT is not supported", start}
	}
	return t, next, err
}

// readWord reads up to a blank or parenthesis outside quotes.
func readWord(text []rune, start int) (word string, next int, quoted bool, err error) {
	var out []rune
	inQuote := false
	i := start
	for ; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
			i++
			out = append(out, text[i])
			continue
		}
		if c == '"' {
			quoted, inQuote = true, !inQuote
			continue
		}
		if !inQuote && (unicode.IsSpace(c) || c == '(' || c == ')') {
			break
		}
		out = append(out, c)
	}
	if inQuote {
		return "", i, quoted, &SyntaxError{"Unterminated quoted phrase", start}
	}
	return string(out), i, quoted, nil
}

type parser struct {
	tokens []token
	at     int
}

func (p *parser) current() token { return p.tokens[p.at] }

func (p *parser) advance() token {
	t := p.tokens[p.at]
	p.at++
	return t
}

// operand fails where the operator just read has nothing behind it.
func (p *parser) operand(operator token) error {
	switch p.current().kind {
	case endToken, closeToken, andToken, orToken:
		return &SyntaxError{operator.text + " must be followed by a search term", operator.at}
	}
	return nil
}

func (p *parser) or(depth int) (*Query, error) {
	first, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	children := []*Query{first}
	for p.current().kind == orToken {
		if err := p.operand(p.advance()); err != nil {
			return nil, err
		}
		c, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		children = append(children, c)
	}
	return combine(Or, children), nil
}

func (p *parser) and(depth int) (*Query, error) {
	first, err := p.primary(depth)
	if err != nil {
		return nil, err
	}
	children := []*Query{first}
	for !slices.Contains([]tokenKind{endToken, closeToken, orToken}, p.current().kind) {
		if p.current().kind == andToken {
			if err := p.operand(p.advance()); err != nil {
				return nil, err
			}
		}
		c, err := p.primary(depth)
		if err != nil {
			return nil, err
		}
		children = append(children, c)
	}
	return combine(And, children), nil
}

func (p *parser) primary(depth int) (*Query, error) {
	t := p.current()
	switch t.kind {
	case openToken:
		return p.group(depth)
	case termToken:
		p.advance()
		return parseTerm(t)
	}
	return nil, &SyntaxError{"Expected a search term", t.at}
}

func (p *parser) group(depth int) (*Query, error) {
	open := p.current()
	if depth >= maxDepth {
		return nil, &SyntaxError{fmt.Sprintf("Query nesting exceeds %d levels", maxDepth), open.at}
	}
	p.advance()
	if p.current().kind == closeToken {
		return nil, &SyntaxError{"Empty group", open.at}
	}
	q, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.current().kind != closeToken {
		return nil, &SyntaxError{"Missing closing parenthesis", open.at}
	}
	p.advance()
	return q, nil
}

func combine(op Op, children []*Query) *Query {
	if len(children) == 1 {
		return children[0]
	}
	return &Query{Op: op, Children: children}
}

func parseTerm(t token) (*Query, error) {
	q := &Query{Op: Term, Value: t.text}
	if field, value, ok := strings.Cut(t.text, ":"); ok && isField(strings.ToLower(field)) {
		q.Field, q.Value = Field(strings.ToLower(field)), value
	}
	if q.Field == Any && strings.HasPrefix(q.Value, "-") {
		return nil, &SyntaxError{"Negation with '-' is not supported", t.at}
	}
	if q.Value == "" {
		return nil, &SyntaxError{"Search qualifier requires a value", t.at}
	}
	_, _, pair := q.Pair()
	if !pair && !q.Exact() && utf8.RuneCountInString(strings.TrimSpace(q.Value)) < minSubstring {
		return nil, &SyntaxError{fmt.Sprintf("Substring search terms must contain at least %d characters", minSubstring), t.at}
	}
	q.Value = strings.ToLower(q.Value)
	return q, nil
}
