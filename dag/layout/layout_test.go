package layout

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

func named(names string, edges ...Edge) Graph {
	g := Graph{Edges: edges}
	for _, n := range strings.Fields(names) {
		g.Nodes = append(g.Nodes, Node{ID: n, Label: n, Sub: "demo." + n, Icon: "check", Class: "tone-good", Title: n + " <done>"})
	}
	return g
}

func TestGolden(t *testing.T) {
	for name, g := range map[string]Graph{
		"one":     named("a"),
		"diamond": named("a b c d", Edge{0, 1}, Edge{0, 2}, Edge{1, 3}, Edge{2, 3}),
		"skip":    named("a b c d", Edge{0, 1}, Edge{1, 2}, Edge{2, 3}, Edge{0, 3}),
		"joins":   named("a b c x y", Edge{0, 3}, Edge{1, 3}, Edge{1, 4}, Edge{2, 4}),
		"alone":   named("a b"),
	} {
		t.Run(name, func(t *testing.T) {
			got, path := SVG(g, name), filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the picture has changed:\n%s", got)
			}
		})
	}
}

func random(rng *rand.Rand, nodes, edges int) Graph {
	g := Graph{}
	for i := range nodes {
		g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: fmt.Sprint("node ", i)})
	}
	seen := map[Edge]bool{}
	for range edges {
		a, b := rng.IntN(nodes), rng.IntN(nodes)
		if e := (Edge{min(a, b), max(a, b)}); a != b && !seen[e] {
			seen[e] = true
			g.Edges = append(g.Edges, e)
		}
	}
	return g
}

// TestBoxesNeverTouch also holds that edges run forward, inside the picture, and
// through no box of another node.
func TestBoxesNeverTouch(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g := random(rng, 1+rng.IntN(40), rng.IntN(90))
		p := Place(g)
		for i, a := range p.Boxes {
			if a.X < 0 || a.Y < 0 || a.X+BoxWidth > p.Width || a.Y+BoxHeight > p.Height {
				t.Fatalf("seed %d: box %d at %v leaves the picture", seed, i, a)
			}
			for j, b := range p.Boxes[:i] {
				if a.X < b.X+BoxWidth && b.X < a.X+BoxWidth && a.Y < b.Y+BoxHeight && b.Y < a.Y+BoxHeight {
					t.Fatalf("seed %d: boxes %d and %d overlap", seed, i, j)
				}
			}
		}
		for i, line := range p.Lines {
			checkLine(t, g, p, i, line)
		}
	}
}

func checkLine(t *testing.T, g Graph, p Placed, i int, line []Point) {
	t.Helper()
	for k := 1; k < len(line); k++ {
		if line[k].X <= line[k-1].X {
			t.Fatalf("edge %v goes back: %v", g.Edges[i], line)
		}
		if line[k].Y != line[k-1].Y {
			continue
		}
		for n, box := range p.Boxes {
			if n == g.Edges[i].From || n == g.Edges[i].To {
				continue
			}
			if line[k].Y > box.Y && line[k].Y < box.Y+BoxHeight && line[k-1].X < box.X+BoxWidth && line[k].X > box.X {
				t.Fatalf("edge %v runs through box %d", g.Edges[i], n)
			}
		}
	}
}

func TestSameGraphSamePicture(t *testing.T) {
	g := random(rand.New(rand.NewPCG(5, 5)), 40, 80)
	first := SVG(g, "x")
	for range 5 {
		if SVG(g, "x") != first {
			t.Fatal("the picture differs")
		}
	}
}

func TestTextIsEscaped(t *testing.T) {
	g := Graph{Nodes: []Node{{ID: `"><script>`, Label: "<b>", Sub: "&", Title: "</title>", Class: `"x`, Href: `"javascript:`}}}
	if got := SVG(g, `"<`); strings.Contains(got, "<script") || strings.Contains(got, "<b>") || strings.Contains(got, `""`) {
		t.Error(got)
	}
}

func BenchmarkPlace(b *testing.B) {
	g := random(rand.New(rand.NewPCG(9, 9)), 500, 1000)
	for b.Loop() {
		Place(g)
	}
}
