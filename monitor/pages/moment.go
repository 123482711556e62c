package pages

import (
	"math"
	"time"
)

// maxUnix is the end of the year 9999: a forged time beyond it is unknown.
const maxUnix = 253402300799

// moment is a wire time, Unix seconds, as a time; 0 and nonsense are the zero
// time, which pages show as unknown.
func moment(unix float64) time.Time {
	if !(unix > 0 && unix < maxUnix) {
		return time.Time{}
	}
	whole, fraction := math.Modf(unix)
	return time.Unix(int64(whole), int64(fraction*1e6)*1000).UTC()
}
