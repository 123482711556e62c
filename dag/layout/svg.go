package layout

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// Characters that fit into a box.
const (
	labelLength = 20
	subLength   = 24
)

// SVG lays the graph out and draws it. Looks are left to the style sheet: boxes
// are "gnode" with the node's classes, edges "gedge" with "from-" and the first
// class of the node that they leave. title names the picture.
func SVG(g Graph, title string) string {
	p := Place(g)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="graph" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="group" aria-label="%s">`,
		p.Width, p.Height, p.Width, p.Height, html.EscapeString(title))
	b.WriteString("\n<g>")
	for i, e := range g.Edges {
		class, _, _ := strings.Cut(g.Nodes[e.From].Class, " ")
		fmt.Fprintf(&b, "\n<path class=\"gedge from-%s\" d=\"%s\"/>", html.EscapeString(class), course(p.Lines[i]))
		end := p.Lines[i][len(p.Lines[i])-1]
		fmt.Fprintf(&b, "<path class=\"ghead from-%s\" d=\"M%.0f %.0fl-7 -4v8z\"/>", html.EscapeString(class), end.X, end.Y)
	}
	b.WriteString("\n</g>")
	for i := range g.Nodes {
		drawNode(&b, g.Nodes[i], p.Boxes[i])
	}
	b.WriteString("\n</svg>")
	return b.String()
}

// course is a smooth line: level through boxes' layers, an S between them.
func course(points []Point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%.0f %.0f", points[0].X, points[0].Y)
	for i := 1; i < len(points); i++ {
		from, to := points[i-1], points[i]
		if from.Y == to.Y {
			fmt.Fprintf(&b, "H%.0f", to.X)
			continue
		}
		middle := (from.X + to.X) / 2
		fmt.Fprintf(&b, "C%.0f %.0f %.0f %.0f %.0f %.0f", middle, from.Y, middle, to.Y, to.X, to.Y)
	}
	return b.String()
}

func drawNode(b *strings.Builder, n Node, at Point) {
	esc := html.EscapeString
	open, shut := `<g`, `</g>`
	if n.Href != "" {
		open, shut = fmt.Sprintf(`<a href="%s"`, esc(n.Href)), `</a>`
	}
	fmt.Fprintf(b, "\n%s class=\"gnode %s\" transform=\"translate(%.0f %.0f)\" data-node=\"%s\"><title>%s</title>",
		open, esc(n.Class), at.X, at.Y, esc(n.ID), esc(n.Title))
	fmt.Fprintf(b, `<rect width="%d" height="%d" rx="9"/>`, BoxWidth, BoxHeight)
	x := 14
	if n.Icon != "" {
		fmt.Fprintf(b, `<use class="icon" href="#i-%s" x="12" y="16" width="16" height="16"/>`, esc(n.Icon))
		x = 38
	}
	fmt.Fprintf(b, `<text class="glabel" x="%d" y="21">%s</text>`, x, esc(cut(n.Label, labelLength)))
	fmt.Fprintf(b, `<text class="gsub" x="%d" y="37">%s</text>%s`, x, esc(cut(n.Sub, subLength)), shut)
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
