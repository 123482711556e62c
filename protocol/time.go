package protocol

import (
	"math"
	"time"
)

// FormatTime writes a time as Python's isoformat does for an aware UTC
// datetime: microseconds, left out when zero, and "+00:00", never "Z", which
// Python before 3.11 refuses.
func FormatTime(t time.Time) string {
	return formatClock(t) + "+00:00"
}

// formatClock is FormatTime without the offset.
func formatClock(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05.000000")
}

// Seconds is t as Unix seconds, the way events and inspect replies carry times.
func Seconds(t time.Time) float64 {
	return float64(t.UnixMicro()) / 1e6
}

// FromSeconds is the time of Unix seconds; the zero time for values that no
// calendar holds.
func FromSeconds(s float64) time.Time {
	if math.IsNaN(s) || math.Abs(s) > 253402300799 {
		return time.Time{}
	}
	return time.UnixMicro(int64(math.Round(s * 1e6))).UTC()
}
