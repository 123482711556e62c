package search

import "strings"

// hasPair reports whether the repr of a Python dict (or a JSON object) has the
// key with that value, both compared without regard to case. A value that is no
// string is compared by its repr.
func hasPair(dict, key, value string) bool {
	dict = strings.TrimSpace(dict)
	if len(dict) < 2 || dict[0] != '{' || dict[len(dict)-1] != '}' {
		return false
	}
	for _, item := range split(dict[1:len(dict)-1], ',') {
		kv := split(item, ':')
		if len(kv) != 2 {
			continue
		}
		if strings.EqualFold(unquote(kv[0]), key) && strings.EqualFold(unquote(kv[1]), value) {
			return true
		}
	}
	return false
}

// split cuts at the separators that stand outside quotes and brackets.
func split(s string, separator byte) []string {
	var out []string
	var quote byte
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case strings.IndexByte(")]}", c) >= 0:
			depth--
		case c == separator && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

var pythonEscapes = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`, `\n`, "\n", `\t`, "\t", `\r`, "\r")

// unquote is the text of a string literal, or any other literal as it stands.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if n := len(s); n >= 2 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] {
		return pythonEscapes.Replace(s[1 : n-1])
	}
	return s
}
