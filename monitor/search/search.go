// Package search is the search language of Flower 2.2's task page and API: terms
// that must all occur, AND, OR, parentheses, quotes, and qualifiers such as
// state:FAILURE or kwargs:user=7. It is pure.
package search

import (
	"fmt"
	"strings"
)

// Limits of a query (Flower 2.2).
const (
	minSubstring = 3
	maxLength    = 2048
	maxTokens    = 128
	maxDepth     = 5
)

// Field is a part of a task that a term looks at.
type Field string

// Fields of a term. Any is all of them joined, and the id.
const (
	Any    Field = ""
	Name   Field = "name"
	State  Field = "state"
	Worker Field = "worker"
	Args   Field = "args"
	Kwargs Field = "kwargs"
	Result Field = "result"
)

func isField(s string) bool {
	switch Field(s) {
	case Name, State, Worker, Args, Kwargs, Result:
		return true
	}
	return false
}

// Op is the kind of a node.
type Op int

// Kinds of nodes.
const (
	All  Op = iota // matches every task
	Term           // Field and Value
	And            // every child
	Or             // any child
)

// Query is a node of a parsed query.
type Query struct {
	Op       Op
	Field    Field
	Value    string // in lower case
	Children []*Query
}

// Exact reports whether a term compares the whole field.
func (q *Query) Exact() bool { return q.Field == State }

// Pair returns the key and value of a term kwargs:key=value.
func (q *Query) Pair() (key, value string, ok bool) {
	if q.Field != Kwargs {
		return "", "", false
	}
	key, value, ok = strings.Cut(q.Value, "=")
	return strings.TrimSpace(key), strings.TrimSpace(value), ok
}

// SyntaxError is a query that cannot be read; its text is Flower's.
type SyntaxError struct {
	Message  string
	Position int // in characters, -1 for none
}

// Error is the message with its position.
func (e *SyntaxError) Error() string {
	if e.Position < 0 {
		return e.Message + "."
	}
	return fmt.Sprintf("%s at position %d.", e.Message, e.Position)
}

// Document is what a query looks at, as it is shown; case does not matter.
type Document struct {
	ID, Name, State, Worker, Args, Kwargs, Result string
}

// Match reports whether the document matches.
func (q *Query) Match(d *Document) bool {
	switch q.Op {
	case And:
		for _, c := range q.Children {
			if !c.Match(d) {
				return false
			}
		}
		return true
	case Or:
		for _, c := range q.Children {
			if c.Match(d) {
				return true
			}
		}
		return false
	case Term:
		return q.matchTerm(d)
	}
	return true
}

func (q *Query) matchTerm(d *Document) bool {
	if q.Exact() {
		return strings.ToLower(d.State) == q.Value
	}
	if key, value, ok := q.Pair(); ok {
		return hasPair(d.Kwargs, key, value)
	}
	for _, f := range d.fields(q.Field) {
		if strings.Contains(strings.ToLower(f), q.Value) {
			return true
		}
	}
	return false
}

func (d *Document) fields(f Field) []string {
	switch f {
	case Name:
		return []string{d.Name}
	case Worker:
		return []string{d.Worker}
	case Args:
		return []string{d.Args}
	case Kwargs:
		return []string{d.Kwargs}
	case Result:
		return []string{d.Result}
	}
	return []string{d.ID, d.Name, d.State, d.Worker, d.Args, d.Kwargs, d.Result}
}
