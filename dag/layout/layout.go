// Package layout draws directed acyclic graphs as SVG in layers, left to right.
// The same graph always gives the same picture.
package layout

import (
	"math"
	"sort"
)

// Node is one box.
type Node struct {
	ID    string
	Label string // first line
	Sub   string // second line
	Icon  string // id of an SVG symbol on the page, without "i-"
	Class string // CSS classes beside "gnode"
	Title string // tooltip, also what a screen reader says
	Href  string // "" for no link
}

// Edge goes from one node to another, by index.
type Edge struct{ From, To int }

// Graph is what is drawn. Edges must form no cycle.
type Graph struct {
	Nodes []Node
	Edges []Edge
}

// Point is a place in the picture, in pixels.
type Point struct{ X, Y float64 }

// Placed is a laid out graph: the top left corner of each box and the course of
// each edge.
type Placed struct {
	Width, Height float64
	Boxes         []Point   // as Graph.Nodes; each BoxWidth by BoxHeight
	Lines         [][]Point // as Graph.Edges
}

// Sizes in pixels.
const (
	BoxWidth  = 184
	BoxHeight = 48
	gapX      = 64
	gapY      = 20
	lineGap   = 14 // height that an edge passing through a layer takes
	margin    = 12
)

// sweeps is how often the order within layers is improved.
const sweeps = 24

// cell is a box or the place where an edge crosses a layer.
type cell struct {
	node   int // -1 for a crossing
	layer  int
	y      float64 // of the centre
	before []int
	after  []int
}

func (c *cell) height() float64 {
	if c.node < 0 {
		return lineGap
	}
	return BoxHeight
}

// layered is a graph cut into layers, each edge running between neighbours only.
type layered struct {
	cells  []cell
	layers [][]int
	paths  [][]int // cells of each edge
}

// Place lays a graph out: layers by longest path, crossings reduced by
// barycentre sweeps, then heights by pulling each cell towards its neighbours.
func Place(g Graph) Placed {
	l := build(g)
	l.order()
	l.heights()
	return l.result(g)
}

func build(g Graph) *layered {
	depth := depths(g)
	l := &layered{cells: make([]cell, len(g.Nodes)), paths: make([][]int, len(g.Edges))}
	for i := range g.Nodes {
		l.cells[i] = cell{node: i, layer: depth[i]}
		l.put(i)
	}
	for i, e := range g.Edges {
		path := []int{e.From}
		for layer := depth[e.From] + 1; layer < depth[e.To]; layer++ {
			l.cells = append(l.cells, cell{node: -1, layer: layer})
			l.put(len(l.cells) - 1)
			path = append(path, len(l.cells)-1)
		}
		l.paths[i] = append(path, e.To)
		for k := 1; k < len(l.paths[i]); k++ {
			a, b := l.paths[i][k-1], l.paths[i][k]
			l.cells[a].after = append(l.cells[a].after, b)
			l.cells[b].before = append(l.cells[b].before, a)
		}
	}
	return l
}

func (l *layered) put(i int) {
	for len(l.layers) <= l.cells[i].layer {
		l.layers = append(l.layers, nil)
	}
	l.layers[l.cells[i].layer] = append(l.layers[l.cells[i].layer], i)
}

// depths puts each node behind the longest path that leads to it.
func depths(g Graph) []int {
	depth, left := make([]int, len(g.Nodes)), make([]int, len(g.Nodes))
	next := make([][]int, len(g.Nodes))
	for _, e := range g.Edges {
		next[e.From] = append(next[e.From], e.To)
		left[e.To]++
	}
	var ready []int
	for i := range left {
		if left[i] == 0 {
			ready = append(ready, i)
		}
	}
	for head := 0; head < len(ready); head++ {
		at := ready[head]
		for _, to := range next[at] {
			depth[to] = max(depth[to], depth[at]+1)
			if left[to]--; left[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return depth
}

// order reduces crossings: cells are sorted by the mean place of their
// neighbours, to and fro, and the best order that was seen is kept.
func (l *layered) order() {
	best, crossings := l.copyLayers(), l.crossings()
	for sweep := range sweeps {
		if crossings == 0 {
			break
		}
		for k := range l.layers {
			if sweep%2 == 0 {
				l.sortLayer(k, func(c *cell) []int { return c.before })
			} else {
				l.sortLayer(len(l.layers)-1-k, func(c *cell) []int { return c.after })
			}
		}
		if n := l.crossings(); n < crossings {
			best, crossings = l.copyLayers(), n
		}
	}
	l.layers = best
}

func (l *layered) copyLayers() [][]int {
	out := make([][]int, len(l.layers))
	for i, layer := range l.layers {
		out[i] = append([]int(nil), layer...)
	}
	return out
}

func (l *layered) places() []int {
	place := make([]int, len(l.cells))
	for _, layer := range l.layers {
		for i, c := range layer {
			place[c] = i
		}
	}
	return place
}

// sortLayer keeps cells without neighbours where they are.
func (l *layered) sortLayer(k int, neighbours func(*cell) []int) {
	place := l.places()
	layer := l.layers[k]
	weight := make(map[int]float64, len(layer))
	for i, c := range layer {
		weight[c] = float64(i)
		if ns := neighbours(&l.cells[c]); len(ns) > 0 {
			sum := 0.0
			for _, n := range ns {
				sum += float64(place[n])
			}
			weight[c] = sum / float64(len(ns))
		}
	}
	sort.SliceStable(layer, func(i, j int) bool { return weight[layer[i]] < weight[layer[j]] })
}

// crossings counts pairs of edges that cross, layer by layer, as inversions with
// a Fenwick tree.
func (l *layered) crossings() int {
	place := l.places()
	total := 0
	for k := 0; k+1 < len(l.layers); k++ {
		tree := make([]int, len(l.layers[k+1])+1)
		seen := 0
		for _, c := range l.layers[k] {
			ends := make([]int, 0, len(l.cells[c].after))
			for _, to := range l.cells[c].after {
				ends = append(ends, place[to])
			}
			for _, end := range ends {
				notAbove := 0
				for i := end + 1; i > 0; i -= i & -i {
					notAbove += tree[i]
				}
				total += seen - notAbove
			}
			for _, end := range ends {
				for i := end + 1; i < len(tree); i += i & -i {
					tree[i]++
				}
			}
			seen += len(ends)
		}
	}
	return total
}

// heights gives each cell a y: first packed, then pulled towards the mean of its
// neighbours without ever touching the cell above or below.
func (l *layered) heights() {
	for _, layer := range l.layers {
		y := 0.0
		for _, c := range layer {
			h := l.cells[c].height()
			l.cells[c].y = y + h/2
			y += h + gapY
		}
	}
	for round := range sweeps {
		for k := range l.layers {
			if round%2 == 0 {
				l.pull(k, func(c *cell) []int { return c.before })
			} else {
				l.pull(len(l.layers)-1-k, func(c *cell) []int { return c.after })
			}
		}
	}
}

// pull places a layer as near to what its cells wish as the gaps allow: cells
// that are too close become a block that moves to the mean wish of its members
// (pool adjacent violators).
func (l *layered) pull(k int, neighbours func(*cell) []int) {
	type block struct {
		sum   float64 // of wishes, each less the member's offset in the block
		n     float64
		cells []int
		size  float64 // from the first member's centre to the last's
	}
	at := func(b block) float64 { return b.sum / b.n }
	var blocks []block
	for _, c := range l.layers[k] {
		b := block{sum: l.wish(c, neighbours), n: 1, cells: []int{c}}
		for len(blocks) > 0 {
			prev := blocks[len(blocks)-1]
			gap := (l.cells[prev.cells[len(prev.cells)-1]].height()+l.cells[b.cells[0]].height())/2 + gapY
			if at(prev)+prev.size+gap <= at(b) {
				break
			}
			blocks = blocks[:len(blocks)-1]
			b = block{
				sum: prev.sum + b.sum - b.n*(prev.size+gap), n: prev.n + b.n,
				cells: append(prev.cells, b.cells...), size: prev.size + gap + b.size,
			}
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		y := at(b)
		for i, c := range b.cells {
			if i > 0 {
				y += (l.cells[b.cells[i-1]].height()+l.cells[c].height())/2 + gapY
			}
			l.cells[c].y = y
		}
	}
}

func (l *layered) wish(c int, neighbours func(*cell) []int) float64 {
	ns := neighbours(&l.cells[c])
	if len(ns) == 0 {
		return l.cells[c].y
	}
	sum := 0.0
	for _, n := range ns {
		sum += l.cells[n].y
	}
	return sum / float64(len(ns))
}

func (l *layered) result(g Graph) Placed {
	top := math.Inf(1)
	for i := range l.cells {
		top = min(top, l.cells[i].y-l.cells[i].height()/2)
	}
	p := Placed{Boxes: make([]Point, len(g.Nodes)), Lines: make([][]Point, len(g.Edges))}
	left := func(layer int) float64 { return margin + float64(layer)*(BoxWidth+gapX) }
	for i := range l.cells {
		c := &l.cells[i]
		c.y = math.Round(c.y - top + margin)
		p.Height = max(p.Height, c.y+c.height()/2+margin)
		p.Width = max(p.Width, left(c.layer)+BoxWidth+margin)
		if c.node >= 0 {
			p.Boxes[c.node] = Point{left(c.layer), c.y - BoxHeight/2}
		}
	}
	for i, path := range l.paths {
		for k, at := range path {
			c := &l.cells[at]
			if k > 0 {
				p.Lines[i] = append(p.Lines[i], Point{left(c.layer), c.y})
			}
			if k < len(path)-1 {
				p.Lines[i] = append(p.Lines[i], Point{left(c.layer) + BoxWidth, c.y})
			}
		}
	}
	return p
}
