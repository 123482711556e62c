// Package requirements holds the pinned Python packages of the virtual
// environments that interoperability tests run in, one file for each.
package requirements

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.txt
var files embed.FS

// Lists returns the text of every requirements file by environment name (the
// file's name without its ending).
func Lists() (map[string]string, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list requirements: %w", err)
	}
	lists := map[string]string{}
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("read requirements: %w", err)
		}
		lists[strings.TrimSuffix(e.Name(), ".txt")] = string(text)
	}
	return lists, nil
}
