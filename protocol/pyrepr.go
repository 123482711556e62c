package protocol

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ReprLimit is after how many characters a repr is cut (celery's
// resultrepr_maxsize, argsrepr_maxsize and kwargsrepr_maxsize).
const ReprLimit = 1024

// reprLevels is how deep saferepr looks into containers.
const reprLevels = 3

// Repr shows a decoded JSON value as events, message headers and inspect replies
// do: like Python's repr, but cut after ReprLimit characters and below three
// levels, and with texts in single quotes whose other characters stand as they
// are (celery.utils.saferepr of Celery 5.7). It takes what Marshal takes.
func Repr(v any) string { return saferepr(v, ReprLimit) }

// ReprTuple shows values as a Python tuple in the same way: (), (1,), (1, 2).
func ReprTuple(values []any) string {
	w := reprWriter{left: ReprLimit}
	w.tuple(values)
	return w.String()
}

func saferepr(v any, limit int) string {
	w := reprWriter{left: limit}
	w.value(v)
	return w.String()
}

// reprWriter writes tokens until its limit is reached. What comes after is left
// out, but for the brackets that are still to be closed.
type reprWriter struct {
	strings.Builder
	left    int      // characters; the last token may exceed it
	closing []string // brackets to close, the innermost last
	cut     bool
}

// room reports whether another token may be written. The first time it may not,
// it ends the text.
func (w *reprWriter) room() bool {
	if w.cut {
		return false
	}
	if w.left > 0 {
		return true
	}
	w.cut = true
	w.WriteString(", ...")
	for i := len(w.closing) - 1; i >= 0; i-- {
		w.WriteString(w.closing[i])
	}
	return false
}

func (w *reprWriter) put(s string) {
	if w.room() {
		w.WriteString(s)
		w.left -= utf8.RuneCountInString(s)
	}
}

// word is a number or another token that may be cut within.
func (w *reprWriter) word(s string) { w.put(truncate(s, w.left)) }

func (w *reprWriter) text(s string) {
	w.put("'" + strings.ReplaceAll(truncate(s, w.left), "'", `\'`) + "'")
}

func (w *reprWriter) open(bracket, closing string) {
	if w.room() {
		w.put(bracket)
		w.closing = append(w.closing, closing)
	}
}

// close is never left out: it belongs to something that is shown.
func (w *reprWriter) close() {
	if w.cut {
		return
	}
	last := len(w.closing) - 1
	w.WriteString(w.closing[last])
	w.left -= len(w.closing[last])
	w.closing = w.closing[:last]
}

// truncate cuts at the last blank before the limit (celery.utils.text).
func truncate(s string, limit int) string {
	if limit <= 0 || utf8.RuneCountInString(s) < limit {
		return s
	}
	end := 0
	for range limit {
		_, size := utf8.DecodeRuneInString(s[end:])
		end += size
	}
	s = s[:end]
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		s = s[:i]
	}
	return s + "..."
}

func (w *reprWriter) value(v any) {
	if w.cut {
		return
	}
	switch v := v.(type) {
	case nil:
		w.word("None")
	case bool:
		w.word(reprBool(v))
	case string:
		w.text(v)
	case json.Number:
		w.word(reprNumber(string(v)))
	case []any:
		w.list(v, "[", "]")
	case Object:
		w.object(v)
	default:
		w.value(plainValue(v))
	}
}

func (w *reprWriter) tuple(values []any) {
	closing := ")"
	if len(values) == 1 {
		closing = ",)"
	}
	w.list(values, "(", closing)
}

func (w *reprWriter) list(values []any, bracket, closing string) {
	if len(w.closing) >= reprLevels {
		w.put(bracket + "..." + closing)
		return
	}
	w.open(bracket, closing)
	for i, v := range values {
		if i > 0 {
			w.put(", ")
		}
		w.value(v)
	}
	w.close()
}

func (w *reprWriter) object(o Object) {
	if kind, value, ok := wrapped(o); ok {
		if data, ok := plainBytes(o); ok {
			w.put(safeBytes(data, w.left))
			return
		}
		w.word(reprWrapped(kind, value))
		return
	}
	if len(w.closing) >= reprLevels {
		w.put("{...}")
		return
	}
	w.open("{", "}")
	for i, f := range o {
		if i > 0 {
			w.put(", ")
		}
		w.text(f.Name)
		w.put(": ")
		w.value(f.Value)
	}
	w.close()
}

// plainValue is v as Decode would give it; a text when JSON cannot hold it.
func plainValue(v any) any {
	raw, err := Marshal(v)
	if err != nil {
		return err.Error()
	}
	plain, err := Decode(raw)
	if err != nil {
		return string(raw)
	}
	return plain
}

// appendRepr writes Python's own repr, whole, as exceptions show their arguments.
func appendRepr(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "None"...)
	case bool:
		return append(b, reprBool(v)...)
	case string:
		return append(b, reprString(v)...)
	case json.Number:
		return append(b, reprNumber(string(v))...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendRepr(b, e)
		}
		return append(b, ']')
	case Object:
		if data, ok := plainBytes(v); ok {
			return append(b, reprBytes(data)...)
		}
		if kind, value, ok := wrapped(v); ok {
			return append(b, reprWrapped(kind, value)...)
		}
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(append(b, reprString(f.Name)...), ": "...)
			b = appendRepr(b, f.Value)
		}
		return append(b, '}')
	}
	return appendRepr(b, plainValue(v))
}

func reprBool(v bool) string {
	if v {
		return "True"
	}
	return "False"
}

// reprNumber is the number as Python shows it after reading the literal.
func reprNumber(lit string) string {
	switch lit {
	case "NaN":
		return "nan"
	case "Infinity":
		return "inf"
	case "-Infinity":
		return "-inf"
	case "-0":
		return "0"
	}
	if !strings.ContainsAny(lit, ".eE") {
		return lit
	}
	f, _ := strconv.ParseFloat(lit, 64) // too large is infinite, as in Python
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return string(appendFloat(nil, f))
}

func reprString(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			b.Write([]byte{'\\', 'x', hexDigits[r>>4&15], hexDigits[r&15]})
		case r > 0x7f && !unicode.IsPrint(r):
			writeUnicodeEscape(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

func writeUnicodeEscape(b *strings.Builder, r rune) {
	digits, letter := 8, byte('U')
	switch {
	case r <= 0xff:
		digits, letter = 2, 'x'
	case r <= 0xffff:
		digits, letter = 4, 'u'
	}
	b.Write([]byte{'\\', letter})
	for i := digits - 1; i >= 0; i-- {
		b.WriteByte(hexDigits[r>>(4*i)&15])
	}
}
