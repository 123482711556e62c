package protocol

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// jsonToYAML writes YAML that PyYAML's safe_load reads, in flow style, which is
// nearly JSON: every text is quoted, so that none is taken for a number or a date.
func jsonToYAML(body Raw) ([]byte, error) {
	v, err := Decode(body)
	if err != nil {
		return nil, err
	}
	return append(appendYAML(nil, v), '\n'), nil
}

func appendYAML(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return fmt.Appendf(dst, "%t", v)
	case string:
		return appendYAMLText(dst, v)
	case json.Number:
		return append(dst, yamlNumber(v)...)
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = appendYAML(yamlComma(dst, i), e)
		}
		return append(dst, ']')
	case Object:
		return appendYAMLObject(dst, v)
	}
	return dst
}

func yamlComma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ", "...)
	}
	return dst
}

func appendYAMLObject(dst []byte, o Object) []byte {
	if plain, ok := plainWrapped(o); ok {
		switch s := plain.(type) {
		case []byte:
			return fmt.Appendf(dst, "!!binary %q", base64.StdEncoding.EncodeToString(s))
		case string:
			if kind := o.String("__type__"); kind == "datetime" || kind == "date" {
				dst = append(dst, "!!timestamp "...)
			}
			return appendYAMLText(dst, s)
		}
	}
	dst = append(dst, '{')
	for i, f := range o {
		// The question mark marks a key that may be longer than the 1,024
		// characters within which PyYAML looks for the colon.
		dst = append(yamlComma(dst, i), "? "...)
		dst = append(appendYAMLText(dst, f.Name), " : "...)
		dst = appendYAML(dst, f.Value)
	}
	return append(dst, '}')
}

// appendYAMLText quotes as JSON does, but for characters beyond the first plane:
// YAML escapes them whole and knows no surrogates.
func appendYAMLText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for s != "" {
		n := strings.IndexFunc(s, func(r rune) bool { return r > 0xffff })
		if n < 0 {
			n = len(s)
		}
		quoted := appendString(nil, s[:n])
		dst = append(dst, quoted[1:len(quoted)-1]...)
		if s = s[n:]; s != "" {
			r, size := utf8.DecodeRuneInString(s)
			dst = fmt.Appendf(dst, `\U%08X`, r)
			s = s[size:]
		}
	}
	return append(dst, '"')
}

// yamlNumber writes a float with a point and a signed exponent, without which
// YAML 1.1 takes it for text.
func yamlNumber(n json.Number) string {
	switch n {
	case "NaN":
		return ".nan"
	case "Infinity":
		return ".inf"
	case "-Infinity":
		return "-.inf"
	}
	if isInteger(n) {
		return string(n)
	}
	text := reprNumber(string(n))
	mantissa, exponent, ok := strings.Cut(text, "e")
	if ok && !strings.Contains(mantissa, ".") {
		return mantissa + ".0e" + exponent
	}
	if text == "inf" || text == "-inf" {
		return strings.Replace(text, "inf", ".inf", 1)
	}
	return text
}
