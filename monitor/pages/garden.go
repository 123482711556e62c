package pages

import (
	"fmt"
	"math"
)

// maxFlorets is how many workers the umbel shows; more are told in words.
const maxFlorets = 36

// garden is the fleet drawn as an umbel: the stem is the broker, every floret
// a worker, its size the work in hand, its colour the status. The drawing is
// 400 by 230 units.
type garden struct {
	Florets                []floret
	Online, Stale, Offline int
	More                   int // workers that found no place
}

type floret struct {
	Name, Status, Tone string
	Active             int
	X, Y, R, Halo      float64
	Ray                string // path from the stem
}

const (
	rootX, rootY = 200.0, 158.0 // where the rays part
	innerRadius  = 88.0
	outerRadius  = 132.0
	// spread is the angle of the umbel to each side of upright, in radians.
	spread = 1.32
)

func newGarden(workers []workerRow) garden {
	var g garden
	for _, w := range workers {
		switch w.Status {
		case "online":
			g.Online++
		case "stale":
			g.Stale++
		default:
			g.Offline++
		}
	}
	shown := workers[:min(len(workers), maxFlorets)]
	g.More = len(workers) - len(shown)
	for i, w := range shown {
		g.Florets = append(g.Florets, newFloret(i, len(shown), w))
	}
	return g
}

// newFloret places floret i of n on an arc, on two arcs in turn when there are
// many.
func newFloret(i, n int, w workerRow) floret {
	angle := 0.0
	if n > 1 {
		width := math.Min(spread, 0.3*float64(n-1))
		angle = width * (2*float64(i)/float64(n-1) - 1)
	}
	radius := outerRadius
	if n > 9 && i%2 == 1 {
		radius = innerRadius
	}
	radius -= 14 * math.Abs(angle) // the outer rays are shorter: a dome
	size := math.Max(5, math.Min(11, 60/float64(n)+3))
	f := floret{
		Name: w.Name, Status: w.Status, Tone: w.Tone, Active: w.Active,
		X: round(rootX + radius*math.Sin(angle)),
		Y: round(rootY - radius*math.Cos(angle)),
		R: round(size),
	}
	f.Halo = round(size * (1.35 + 1.2*w.Load()))
	bendX := rootX + 0.45*radius*math.Sin(angle*0.55)
	bendY := rootY - 0.62*radius*math.Cos(angle*0.55)
	f.Ray = fmt.Sprintf("M%g %gQ%g %g %g %g", rootX, rootY, round(bendX), round(bendY), f.X, f.Y)
	return f
}

func round(v float64) float64 { return math.Round(v*10) / 10 }
