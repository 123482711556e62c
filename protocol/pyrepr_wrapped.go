package protocol

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// reprWrapped shows a wrapped value as Python shows the object that it stands for.
func reprWrapped(kind string, value any) string {
	s, isString := value.(string)
	switch {
	case kind == "uuid" && !isString:
		o, _ := value.(Object)
		return "UUID('" + dashed(o.String("hex")) + "')"
	case kind == "decimal" && isString:
		return "Decimal('" + s + "')"
	case kind == "datetime", kind == "date", kind == "time":
		if shown, ok := reprTime(kind, s); ok {
			return shown
		}
	}
	return string(appendRepr([]byte(kind+"("), value)) + ")"
}

// plainBytes is the content of wrapped bytes.
func plainBytes(o Object) ([]byte, bool) {
	plain, _ := plainWrapped(o)
	data, ok := plain.([]byte)
	return data, ok
}

// safeBytes shows bytes as saferepr does: as text, without escapes, or as hex
// digits where they are none, and cut after limit bytes.
func safeBytes(data []byte, limit int) string {
	ellipsis := ""
	if limit > 0 && len(data) > limit {
		data, ellipsis = data[:limit], "..."
	}
	text := string(data)
	if !utf8.Valid(data) {
		text = hex.EncodeToString(data)
	}
	return "b'" + text + ellipsis + "'"
}

// reprBytes is Python's own repr of bytes.
func reprBytes(data []byte) string {
	quote := byte('\'')
	if strings.IndexByte(string(data), '\'') >= 0 && strings.IndexByte(string(data), '"') < 0 {
		quote = '"'
	}
	b := []byte{'b', quote}
	for _, c := range data {
		switch {
		case c == quote || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c > '~':
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, quote))
}

var isoParts = regexp.MustCompile(
	`^(?:(\d{4})-(\d\d)-(\d\d))?T?(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{6}))?)?)?(?:([+-])(\d\d):(\d\d))?$`)

// reprTime shows the isoformat of a datetime, date or time.
func reprTime(kind, iso string) (string, bool) {
	m := isoParts.FindStringSubmatch(iso)
	if m == nil {
		return "", false
	}
	first, last := 1, 7
	switch kind {
	case "date":
		last = 3
	case "time":
		first = 4
	}
	var parts []string
	for i := first; i <= last; i++ {
		n, _ := strconv.Atoi(m[i])
		parts = append(parts, strconv.Itoa(n))
	}
	// Python leaves out microseconds that are zero, then seconds.
	for n := 0; last == 7 && n < 2 && parts[len(parts)-1] == "0"; n++ {
		parts = parts[:len(parts)-1]
	}
	if m[8] != "" {
		parts = append(parts, "tzinfo="+reprZone(m[8], m[9], m[10]))
	}
	return "datetime." + kind + "(" + strings.Join(parts, ", ") + ")", true
}

func reprZone(sign, hours, minutes string) string {
	h, _ := strconv.Atoi(hours)
	m, _ := strconv.Atoi(minutes)
	switch seconds := h*3600 + m*60; {
	case seconds == 0:
		return "datetime.timezone.utc"
	case sign == "-":
		return fmt.Sprintf("datetime.timezone(datetime.timedelta(days=-1, seconds=%d))", 86400-seconds)
	default:
		return fmt.Sprintf("datetime.timezone(datetime.timedelta(seconds=%d))", seconds)
	}
}
