package protocol

import "time"

// The wire says null where Go has a zero value.

// OrNull is s, or nil where s is empty.
func OrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// TimeOrNull is t as FormatTime writes it, or nil where t is zero.
func TimeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return FormatTime(t)
}

func intOrNull(i *int) any {
	if i == nil {
		return nil
	}
	return *i
}

func boolOrNull(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

func stringsOrNull(s []string) any {
	if s == nil {
		return nil
	}
	return s
}

func signaturesOrNull(s []Signature) any {
	if len(s) == 0 {
		return nil
	}
	return s
}

// secondsOrNull writes a whole number of seconds as an integer, as Python users
// give them.
func secondsOrNull(s float64) any {
	switch {
	case s <= 0:
		return nil
	case s == float64(int64(s)):
		return int64(s)
	}
	return s
}
