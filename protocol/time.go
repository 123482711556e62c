package protocol

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// FormatTime writes a time as Python's isoformat does for an aware UTC
// datetime: microseconds, left out when zero, and "+00:00", never "Z", which
// Python before 3.11 refuses.
func FormatTime(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05+00:00")
	}
	return t.Format("2006-01-02T15:04:05.000000+00:00")
}

var timeLayouts = []string{
	"2006-01-02T15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999Z07",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02",
	"20060102T150405.999999999Z07:00",
	"20060102T150405.999999999Z0700",
	"20060102T150405.999999999",
	"20060102",
}

// ParseTime reads the forms of ISO 8601 that Python's peers send (celery parses
// eta and expires with dateutil). A time without an offset is UTC.
func ParseTime(s string) (time.Time, error) {
	iso := strings.Replace(s, ",", ".", 1)
	if len(iso) > 10 && iso[10] == ' ' {
		iso = iso[:10] + "T" + iso[11:]
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, iso); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not an ISO 8601 time", s)
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
