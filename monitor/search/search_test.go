package search

import (
	"errors"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	d := &Document{
		ID: "2af0a66c-1111-4222-8333-444455556666", Name: "shop.Resize", State: "FAILURE", Worker: "w1@vm",
		Args: "('two words', 42)", Kwargs: "{'user': 7, 'name': 'O\\'Neil', 'deep': {'a': 1}}", Result: "None",
	}
	for query, want := range map[string]bool{
		"":                        true,
		"resize":                  true,
		"RESIZE":                  true,
		"2af0a66c-1111":           true,
		"resize failure":          true,
		"resize AND nothing":      false,
		"nothing OR resize":       true,
		"nothing resize OR w1@vm": true,
		`"two words"`:             true,
		`args:"two words"`:        true,
		"args:resize":             false,
		"state:failure":           true,
		"state:fail":              false,
		"State:FAILURE":           true,
		"kwargs:user=7":           true,
		"kwargs:user=70":          false,
		"kwargs:name=o'neil":      true,
		"kwargs:a=1":              false,
		"kwargs:user":             true,
		"worker:w1@":              true,
		"color:red":               false,
		"(nothing OR resize) AND (state:success OR state:failure)": true,
	} {
		q, err := Parse(query)
		if err != nil {
			t.Errorf("%q: %v", query, err)
		} else if got := q.Match(d); got != want {
			t.Errorf("%q matches = %v", query, got)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for query, want := range map[string]string{
		`abc "open`:        "Unterminated quoted phrase at position 4.",
		`""`:               "Empty search term at position 0.",
		"NOT abc":          "NOT is not supported at position 0.",
		"-abc":             "Negation with '-' is not supported at position 0.",
		"name:":            "Search qualifier requires a value at position 0.",
		"ab":               "Substring search terms must contain at least 3 characters at position 0.",
		"abc OR":           "OR must be followed by a search term at position 4.",
		"abc AND OR":       "AND must be followed by a search term at position 4.",
		"()":               "Empty group at position 0.",
		"(abc":             "Missing closing parenthesis at position 0.",
		"OR abc":           "Expected a search term at position 0.",
		"abc )":            "Unexpected ')' at position 4.",
		"((((((abc))))))":  "Query nesting exceeds 5 levels at position 5.",
		long("a", 2049):    "Query exceeds 2048 characters.",
		long("abc ", 1024): "Query exceeds 128 tokens.",
	} {
		_, err := Parse(query)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%.20q: %v, want %s", query, err, want)
		}
	}
}

func long(s string, n int) string { return strings.Repeat(s, n/len(s)+n%len(s)) }

func FuzzParse(f *testing.F) {
	f.Add(`(a AND b) OR kwargs:"x y"=1`)
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := Parse(text); err == nil {
			q.Match(&Document{Kwargs: text, Args: text})
		}
	})
}
