package test

import (
	"strings"
	"testing"
)

// The program that the README shows is the one that is compiled.
func TestReadmeShowsTheExample(t *testing.T) {
	example := readFile(t, "../examples/shop/main.go")
	_, program, found := strings.Cut(example, "package main")
	if !found || !strings.Contains(readFile(t, "../README.md"), "```go\npackage main"+program+"```") {
		t.Error("README.md does not show examples/shop/main.go as it is")
	}
}
