package protocol

import (
	"fmt"
	"strings"
	"time"
)

// ParseTime reads the forms of ISO 8601 that Python's peers send, as dateutil's
// isoparse does, by which Celery reads eta and expires: calendar, week and
// ordinal dates, basic and extended, any character between date and time, a
// point or a comma before the fraction, 24:00 as the end of a day. A fraction
// is cut to microseconds. A time without an offset is UTC; a time outside the
// years 1 to 9999 in UTC is an error, as no Python datetime holds it.
func ParseTime(s string) (time.Time, error) {
	t, ok := parseISO(s)
	if !ok {
		return time.Time{}, fmt.Errorf("%.40q is not an ISO 8601 time", s)
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%.40q is outside the years 1 to 9999", s)
	}
	return t, nil
}

func parseISO(s string) (time.Time, bool) {
	day, rest, ok := isoDate(s)
	if !ok || rest == "" {
		return day, ok
	}
	if rest[0] >= 0x80 {
		return time.Time{}, false
	}
	sinceMidnight, ok := isoClock(rest[1:])
	return day.Add(sinceMidnight), ok
}

// isoDate reads the date in front of s and returns what follows.
func isoDate(s string) (day time.Time, rest string, ok bool) {
	year, ok := digits(s, 4)
	if !ok || year == 0 {
		return time.Time{}, "", false
	}
	s = s[4:]
	if s == "" {
		return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), "", true
	}
	if month, dayOfMonth, rest, ok := isoMonthDay(s); ok {
		day := time.Date(year, time.Month(month), dayOfMonth, 0, 0, 0, 0, time.UTC)
		return day, rest, int(day.Month()) == month && day.Day() == dayOfMonth
	}
	s, dashed := strings.CutPrefix(s, "-")
	if week, ok := strings.CutPrefix(s, "W"); ok {
		return isoWeekDate(year, week, dashed)
	}
	n, ok := digits(s, 3)
	day = time.Date(year, 1, n, 0, 0, 0, 0, time.UTC)
	if !ok || n == 0 || day.Year() != year {
		return time.Time{}, "", false
	}
	return day, s[3:], true
}

// isoMonthDay reads -MM, -MM-DD or MMDD.
func isoMonthDay(s string) (month, day int, rest string, ok bool) {
	s, dashed := strings.CutPrefix(s, "-")
	if month, ok = digits(s, 2); !ok {
		return 0, 0, "", false
	}
	s = s[2:]
	if dashed {
		if s == "" {
			return month, 1, "", true
		}
		if s, ok = strings.CutPrefix(s, "-"); !ok {
			return 0, 0, "", false
		}
	}
	if day, ok = digits(s, 2); !ok {
		return 0, 0, "", false
	}
	return month, day, s[2:], true
}

// isoWeekDate reads what follows the W of a week date.
func isoWeekDate(year int, s string, dashed bool) (day time.Time, rest string, ok bool) {
	week, ok := digits(s, 2)
	if !ok || week < 1 || week > 53 {
		return time.Time{}, "", false
	}
	weekday := 1
	if s = s[2:]; s != "" {
		if dashed && s[0] != '-' {
			return time.Time{}, "", false
		}
		if dashed {
			s = s[1:]
		}
		if weekday, ok = digits(s, 1); !ok || weekday < 1 || weekday > 7 {
			return time.Time{}, "", false
		}
		s = s[1:]
	}
	// The fourth of January is always in the first week.
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)
	monday := 4 - (int(fourth.Weekday())+6)%7
	return time.Date(year, 1, monday+(week-1)*7+weekday-1, 0, 0, 0, 0, time.UTC), s, true
}

// isoClock reads a time of day and its offset, as what is to be added to the
// date in UTC.
func isoClock(s string) (time.Duration, bool) {
	if len(s) < 2 {
		return 0, false
	}
	clock, zone := s, ""
	if i := strings.IndexAny(s, "+-Zz"); i >= 0 {
		clock, zone = s[:i], s[i:]
	}
	offset, ok := isoOffset(zone)
	if !ok {
		return 0, false
	}
	var part [3]int // hours, minutes, seconds
	colons := strings.Contains(clock, ":")
	for i := 0; i < 3 && clock != ""; i++ {
		if i > 0 && colons {
			if clock, ok = strings.CutPrefix(clock, ":"); !ok {
				return 0, false
			}
		}
		width := 2
		if len(clock) == 1 && zone == "" { // dateutil takes a lone last digit
			width = 1
		}
		if part[i], ok = digits(clock, width); !ok {
			return 0, false
		}
		clock = clock[width:]
	}
	fraction, ok := isoFraction(clock)
	if !ok || part[0] > 24 || part[1] > 59 || part[2] > 59 {
		return 0, false
	}
	d := time.Duration(part[0])*time.Hour + time.Duration(part[1])*time.Minute + time.Duration(part[2])*time.Second + fraction
	return d - offset, d <= 24*time.Hour
}

func isoFraction(s string) (time.Duration, bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != '.' && s[0] != ',' || len(s) == 1 {
		return 0, false
	}
	d, unit := time.Duration(0), 100*time.Millisecond
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if unit >= time.Microsecond {
			d += time.Duration(s[i]-'0') * unit
			unit /= 10
		}
	}
	return d, true
}

// isoOffset reads Z, +HH, +HHMM, +HH:MM or, as dateutil does, +HH:M.
func isoOffset(s string) (time.Duration, bool) {
	if s == "" || s == "Z" || s == "z" {
		return 0, true
	}
	hours, ok := digits(s[1:], 2)
	if !ok || hours > 23 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	d := time.Duration(hours) * time.Hour
	if rest := s[3:]; rest != "" {
		width := 2
		if rest = strings.TrimPrefix(rest, ":"); len(s) == len("+HH:M") && len(rest) == 1 {
			width = 1
		}
		minutes, ok := digits(rest, width)
		if !ok || len(rest) != width || minutes > 59 {
			return 0, false
		}
		d += time.Duration(minutes) * time.Minute
	}
	if s[0] == '-' {
		d = -d
	}
	return d, true
}

// digits is the number that the first n characters of s are.
func digits(s string, n int) (int, bool) {
	if len(s) < n {
		return 0, false
	}
	v := 0
	for i := range n {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, true
}
