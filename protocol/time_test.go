package protocol

import (
	"math"
	"testing"
	"time"
)

// Every form is compared with dateutil, which refuses those with no time beside
// them, or makes a time that Python cannot turn into UTC.
func TestParseTime(t *testing.T) {
	for _, row := range python(t).Times {
		got, err := ParseTime(row[0])
		text := ""
		if err == nil {
			text = FormatTime(got)
		}
		if text != row[1] || got.Location() != time.UTC {
			t.Errorf("%q: got %q, %v, want %q", row[0], text, err, row[1])
		}
	}
	for _, bad := range []string{"garbage", "23:21:02", "1795216349", "2026-11-20é10:00", "2026-11-20T23:21:02+99:00 "} {
		if got, err := ParseTime(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	const wire = 1795216349.991994
	if got := Seconds(FromSeconds(wire)); got != wire {
		t.Errorf("%v became %v", wire, got)
	}
	for _, none := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e18} {
		if got := FromSeconds(none); !got.IsZero() {
			t.Errorf("%v is %v", none, got)
		}
	}
}

// FuzzParseTime: a time that is accepted has a form that reads back the same.
func FuzzParseTime(f *testing.F) {
	for _, row := range python(f).Times {
		f.Add(row[0])
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		if err != nil {
			return
		}
		again, err := ParseTime(FormatTime(got))
		if err != nil || !again.Equal(got) {
			t.Fatalf("%q: %v, then %v, %v", s, got, again, err)
		}
	})
}
