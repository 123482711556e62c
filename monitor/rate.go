package monitor

// rateWindow is the span of a rate in seconds.
const rateWindow = 60

// rate counts what happened within the last minute. It is owned by the source.
type rate struct {
	second [rateWindow]int64
	n      [rateWindow]int
}

// add counts one at a time (Unix seconds).
func (r *rate) add(at int64) {
	i := at % rateWindow
	if r.second[i] != at {
		r.second[i], r.n[i] = at, 0
	}
	r.n[i]++
}

// sum is what was counted in the minute up to a time.
func (r *rate) sum(now int64) int {
	total := 0
	for i, at := range r.second {
		if at > now-rateWindow && at <= now {
			total += r.n[i]
		}
	}
	return total
}
