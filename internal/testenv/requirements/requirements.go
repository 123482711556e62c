// Package requirements holds the pinned Python packages of the virtual
// environments that interoperability tests run in, one file for each.
package requirements

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.txt *.py
var files embed.FS

// fullOnly are the environments that only the long forms of tests need.
var fullOnly = map[string]bool{"celery44": true, "celery52": true}

// Environment says what one virtual environment holds.
type Environment struct {
	// Name is the file's name without its ending.
	Name string
	// Packages is the text of the requirements file.
	Packages string
	// Startup is Python that every interpreter of the environment runs first
	// (its sitecustomize); empty for most.
	Startup string
	// FullOnly tells that only the long forms of tests need it.
	FullOnly bool
}

// Environments returns all of them.
func Environments() ([]Environment, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list requirements: %w", err)
	}
	texts := map[string]string{}
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("read requirements: %w", err)
		}
		texts[e.Name()] = string(text)
	}
	var all []Environment
	for file, text := range texts {
		if name, ok := strings.CutSuffix(file, ".txt"); ok {
			all = append(all, Environment{Name: name, Packages: text, Startup: texts[name+".py"], FullOnly: fullOnly[name]})
		}
	}
	return all, nil
}
