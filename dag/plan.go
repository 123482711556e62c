package dag

import "slices"

// Plan is the graph of a definition by node index.
type Plan struct {
	// Prev and Next hold the direct dependencies and successors of each node.
	Prev, Next [][]int
	// Order lists the nodes so that each stands behind its dependencies; among
	// equals the definition's order holds.
	Order []int
	// index finds a node by name.
	index map[string]int
}

// Index returns the position of the named node, -1 when there is none.
func (p *Plan) Index(name string) int {
	if i, ok := p.index[name]; ok {
		return i
	}
	return -1
}

// Plan builds the graph. Dependencies that name no node are left out, nodes on a
// cycle are missing in Order: Validate refuses both.
func (d *Definition) Plan() *Plan {
	n := len(d.Nodes)
	p := &Plan{Prev: make([][]int, n), Next: make([][]int, n), index: make(map[string]int, n)}
	for i := range d.Nodes {
		if _, taken := p.index[d.Nodes[i].Name]; !taken {
			p.index[d.Nodes[i].Name] = i
		}
	}
	for i := range d.Nodes {
		for _, dep := range d.Nodes[i].DependsOn {
			if j, ok := p.index[dep]; ok {
				p.Prev[i] = append(p.Prev[i], j)
				p.Next[j] = append(p.Next[j], i)
			}
		}
	}
	p.Order = p.sort()
	return p
}

// sort is Kahn's algorithm.
func (p *Plan) sort() []int {
	left := make([]int, len(p.Prev))
	order := make([]int, 0, len(p.Prev))
	for i := range p.Prev {
		if left[i] = len(p.Prev[i]); left[i] == 0 {
			order = append(order, i)
		}
	}
	for head := 0; head < len(order); head++ {
		for _, next := range p.Next[order[head]] {
			if left[next]--; left[next] == 0 {
				order = append(order, next)
			}
		}
	}
	return order
}

// cycle returns the indexes of one cycle in the direction of the edges, beginning
// with the lowest, nil when there is none.
func (p *Plan) cycle() []int {
	if len(p.Order) == len(p.Prev) {
		return nil
	}
	sorted := make([]bool, len(p.Prev))
	for _, i := range p.Order {
		sorted[i] = true
	}
	at := 0
	for sorted[at] {
		at++
	}
	// Every node that is left has a dependency that is left too, so walking
	// backwards must come to a node twice.
	seen := map[int]int{}
	var walk []int
	for {
		if first, ok := seen[at]; ok {
			walk = walk[first:]
			break
		}
		seen[at] = len(walk)
		walk = append(walk, at)
		for _, prev := range p.Prev[at] {
			if !sorted[prev] {
				at = prev
				break
			}
		}
	}
	slices.Reverse(walk)
	first := slices.Index(walk, slices.Min(walk))
	return slices.Concat(walk[first:], walk[:first])
}

// ancestors reports, for one node, every node that it waits for, directly or not.
func (p *Plan) ancestors(i int) map[int]bool {
	found := map[int]bool{}
	stack := append([]int(nil), p.Prev[i]...)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !found[at] {
			found[at] = true
			stack = append(stack, p.Prev[at]...)
		}
	}
	return found
}
