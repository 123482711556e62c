package dag

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a definition.
type Problem struct {
	// Field is the place, "nodes[2].task"; "" when it is the whole.
	Field string `json:"field,omitempty"`
	Text  string `json:"error"`
	// Line and Column count from 1; 0 when the definition has no text.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Error is the problem with its place, for a terminal.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	if p.Field != "" {
		fmt.Fprintf(&b, "%s: ", p.Field)
	}
	return b.String() + p.Text
}

// Problems is the error of everything that reads or checks a definition.
type Problems []Problem

// Error lists the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

func (ps *Problems) add(field, format string, args ...any) {
	*ps = append(*ps, Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}
