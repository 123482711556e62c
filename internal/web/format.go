package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// dash stands for a value that is not known.
const dash = "–"

// FormatDuration writes a duration as Flower 2.2 does: "0.87 ms", "1.50 s",
// "2m 05s", "1h 02m 03s", and days beyond.
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + FormatDuration(-d)
	}
	whole := int64(d.Round(time.Second) / time.Second)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case whole < 60:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case whole < 3600:
		return fmt.Sprintf("%dm %02ds", whole/60, whole%60)
	case whole < 86400:
		return fmt.Sprintf("%dh %02dm %02ds", whole/3600, whole/60%60, whole%60)
	}
	return fmt.Sprintf("%dd %02dh %02dm", whole/86400, whole/3600%24, whole/60%60)
}

// duration takes a time.Duration, or seconds as float64; nil and NaN are unknown.
func duration(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return dash, nil
	case time.Duration:
		return FormatDuration(v), nil
	case float64:
		return seconds(v), nil
	case *float64:
		if v == nil {
			return dash, nil
		}
		return seconds(*v), nil
	case *time.Duration:
		if v == nil {
			return dash, nil
		}
		return FormatDuration(*v), nil
	}
	return "", fmt.Errorf("duration of a %T", v)
}

func seconds(s float64) string {
	if math.IsNaN(s) || math.Abs(s) > math.MaxInt64/1e9 {
		return dash
	}
	return FormatDuration(time.Duration(s * float64(time.Second)))
}

// number groups thousands: 1,284,003.
func number(v any) (string, error) {
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case uint64:
		n = int64(min(v, math.MaxInt64))
	case nil:
		return dash, nil
	default:
		return "", fmt.Errorf("number of a %T", v)
	}
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String(), nil
}

// truncate cuts a text to at most n characters, the last one an ellipsis.
func truncate(n int, s string) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	runes := []rune(s)
	return string(runes[:max(n-1, 0)]) + "…"
}

// shortID is the first part of a task id, enough to tell tasks apart by eye.
func shortID(id string) string {
	if len(id) == 36 && strings.Count(id, "-") == 4 {
		return id[:8]
	}
	return truncate(16, id)
}

// stamp is a moment for a <time> element.
type stamp struct {
	ISO  string // for datetime=, UTC with microseconds
	Text string // for readers without JavaScript
}

func newStamp(t time.Time) stamp {
	t = t.UTC()
	return stamp{ISO: t.Format("2006-01-02T15:04:05.000000Z07:00"), Text: t.Format("2006-01-02 15:04:05 UTC")}
}
