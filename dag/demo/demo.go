// Package demo holds workflows made of the stock worker's demo tasks, for
// "umbel up --demo" and for reading.
package demo

import (
	"embed"
	"fmt"

	"github.com/umbel-go/umbel/dag"
)

//go:embed *.yaml
var files embed.FS

// Definitions returns the demo workflows, the diamond first. Their tasks go to
// queue "umbel-demo".
func Definitions() ([]*dag.Definition, error) {
	var out []*dag.Definition
	for _, name := range []string{"diamond.yaml"} {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("demo workflows: %w", err)
		}
		def, err := dag.ParseYAML(text)
		if err != nil {
			return nil, fmt.Errorf("demo workflow %s: %w", name, err)
		}
		out = append(out, def)
	}
	return out, nil
}
