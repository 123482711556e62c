package pages

import (
	"fmt"
	"math"
	"strings"
)

const (
	// maxUmbellets is how many workers the umbel shows; more are told in words.
	maxUmbellets = 36
	// maxFlorets is how many slots of a worker it shows.
	maxFlorets = 12
)

// garden is the fleet drawn as an umbel: the stem is the broker, every umbellet
// a worker in the colour of its status, and its florets are the slots, open
// while they work. The drawing is 400 by 236 units.
type garden struct {
	Umbellets              []umbellet
	Online, Stale, Offline int
	More                   int // workers that found no place
}

// umbellet is one worker.
type umbellet struct {
	Name, Status, Tone string
	Active             int
	X, Y, R            float64
	Ray                string // path from the stem
	Stalks             string // path of the florets' stalks
	Florets            []floret
}

// floret is one slot of a worker.
type floret struct {
	X, Y, R float64
	Busy    bool
}

const (
	rootX, rootY = 200.0, 160.0 // where the rays part
	innerRadius  = 78.0
	outerRadius  = 122.0
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
	shown := workers[:min(len(workers), maxUmbellets)]
	g.More = len(workers) - len(shown)
	for i, w := range shown {
		g.Umbellets = append(g.Umbellets, newUmbellet(i, len(shown), w))
	}
	return g
}

// newUmbellet places worker i of n on an arc, on two arcs in turn when there
// are many.
func newUmbellet(i, n int, w workerRow) umbellet {
	angle := 0.0
	if n > 1 {
		angle = min(spread, 0.31*float64(n-1)) * (2*float64(i)/float64(n-1) - 1)
	}
	radius := outerRadius
	if n > 9 && i%2 == 1 {
		radius = innerRadius
	}
	radius -= 10 * math.Abs(angle) // the outer rays are shorter: a dome
	u := umbellet{
		Name: w.Name, Status: w.Status, Tone: w.Tone, Active: w.Active,
		X: round(rootX + radius*math.Sin(angle)),
		Y: round(rootY - radius*math.Cos(angle)),
		R: round(max(3, min(5.5, 30/float64(n)+2))),
	}
	bendX := rootX + 0.45*radius*math.Sin(angle*0.55)
	bendY := rootY - 0.62*radius*math.Cos(angle*0.55)
	u.Ray = fmt.Sprintf("M%g %gQ%g %g %g %g", rootX, rootY, round(bendX), round(bendY), u.X, u.Y)
	u.bloom(angle, reach(n), w)
	return u
}

// reach is how far florets stand from the middle of their umbellet when there
// are n of these.
func reach(n int) float64 { return max(9, min(20, 120/float64(n)+3)) }

// bloom fans the worker's slots out around the direction of its ray.
func (u *umbellet) bloom(angle, reach float64, w workerRow) {
	slots := min(max(w.Concurrency, 1), maxFlorets)
	busy := 0
	if w.Active > 0 && w.Status != "offline" {
		busy = max(1, int(math.Round(w.Load()*float64(slots))))
	}
	fan := min(2.0, 0.42*float64(slots-1))
	size := max(1.6, min(4.4, reach*0.24, 1.1*reach*fan/float64(max(slots-1, 1))))
	var stalks strings.Builder
	for i := range slots {
		turn := angle
		if slots > 1 {
			turn += fan * (2*float64(i)/float64(slots-1) - 1)
		}
		f := floret{X: round(u.X + reach*math.Sin(turn)), Y: round(u.Y - reach*math.Cos(turn)), R: round(size), Busy: i < busy}
		fmt.Fprintf(&stalks, "M%g %gL%g %g", u.X, u.Y, f.X, f.Y)
		u.Florets = append(u.Florets, f)
	}
	u.Stalks = stalks.String()
}

func round(v float64) float64 { return math.Round(v*10) / 10 }
