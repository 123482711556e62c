package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/umbel-go/umbel"

// graph holds the imports of every package, tests left out. Our packages are
// named as on the command line, "./worker/builtin"; others by import path.
type graph map[string][]string

// load asks the go command once. It tolerates packages that do not compile.
func load(t *testing.T) graph {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	g := graph{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("read the answer of go list: %v", err)
		}
		imports := make([]string, len(p.Imports))
		for i, path := range p.Imports {
			imports[i] = short(path)
		}
		g[short(p.ImportPath)] = imports
	}
}

// root is the folder of the module.
func root(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func short(path string) string {
	if rest, ours := strings.CutPrefix(path, module+"/"); ours {
		return "./" + rest
	}
	return path
}

// reached maps every package that from imports, directly or through others (or
// only directly), to the package it is imported by on the shortest way.
func (g graph) reached(from string, direct bool) map[string]string {
	by := map[string]string{}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g[queue[0]] {
			if _, known := by[next]; known || next == from {
				continue
			}
			by[next] = queue[0]
			if !direct {
				queue = append(queue, next)
			}
		}
	}
	return by
}

// way spells out how from comes to import to.
func way(by map[string]string, from, to string) string {
	names := []string{to}
	for to != from {
		to = by[to]
		names = append(names, to)
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}

// rule restricts what packages import. Patterns are package names; one that
// ends in "/..." matches the name before it and everything below, "./*test"
// matches our packages whose name ends in test.
type rule struct {
	who    []string // whom it binds
	except []string // who of these is free of it
	only   []string // of our packages, those they may import; nil: any
	never  []string // those they may not import, ours or others
	direct bool     // judge only what they import themselves
	why    string
}

func matches(name string, patterns []string) bool {
	for _, p := range patterns {
		if p == "./*test" && strings.HasPrefix(name, "./") && strings.HasSuffix(name, "test") {
			return true
		}
		if base, tree := strings.CutSuffix(p, "/..."); name == p ||
			tree && (name == base || strings.HasPrefix(name, base+"/")) {
			return true
		}
	}
	return false
}

// check returns one line for each package and import that breaks the rule, and
// whether the rule binds any package at all.
func (r rule) check(g graph) (broken []string, binds bool) {
	for name := range g {
		if !matches(name, r.who) || matches(name, r.except) {
			continue
		}
		binds = true
		by := g.reached(name, r.direct)
		for to := range by {
			outside := r.only != nil && strings.HasPrefix(to, "./") && !matches(to, r.only)
			if outside || matches(to, r.never) {
				broken = append(broken, fmt.Sprintf("%s (%s)", way(by, name, to), r.why))
			}
		}
	}
	slices.Sort(broken)
	return broken, binds
}
