package protocol

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The forms of plain scalars in YAML 1.1 as PyYAML resolves them, in its order:
// boolean, float, integer, null, timestamp, else text.
var (
	yamlBool  = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	yamlFloat = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	yamlInt = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+` +
		`|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	yamlNull = regexp.MustCompile(`^(?:~|null|Null|NULL|)$`)
	yamlTime = regexp.MustCompile(`^([0-9]{4})-([0-9][0-9]?)-([0-9][0-9]?)` +
		`(?:(?:[Tt]|[ \t]+)([0-9][0-9]?):([0-9]{2}):([0-9]{2})(?:\.([0-9]*))?(?:[ \t]*(?:(Z)|([-+])([0-9][0-9]?)(?::([0-9]{2}))?))?)?$`)
	yamlDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`) // the only date that needs no tag
)

// yamlScalar is the value of a scalar, as Marshal takes it.
func yamlScalar(n *yaml.Node) (any, error) {
	tag := yamlTag(n)
	if tag == "" && n.Style != 0 { // quoted or a block
		return n.Value, nil
	}
	if tag == "" {
		tag = yamlImplicitTag(n.Value)
	}
	switch s := n.Value; tag {
	case "!!str":
		return s, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		return yamlTruth(s)
	case "!!int":
		return yamlInteger(s)
	case "!!float":
		return yamlReal(s)
	case "!!timestamp":
		return yamlTimestamp(s)
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", " ", "").Replace(s))
		if err != nil {
			err = fmt.Errorf("binary: %w", err)
		}
		return data, err
	}
	return nil, errYAMLTag(tag)
}

func yamlImplicitTag(s string) string {
	if s != "" && strings.IndexByte("yYnNtTfFoO~<=+-.0123456789", s[0]) < 0 {
		return "!!str"
	}
	switch {
	case yamlBool.MatchString(s):
		return "!!bool"
	case yamlFloat.MatchString(s):
		return "!!float"
	case yamlInt.MatchString(s):
		return "!!int"
	case s == "<<", s == "=":
		return s
	case yamlNull.MatchString(s):
		return "!!null"
	case yamlDate.MatchString(s), len(s) > 10 && yamlTime.MatchString(s):
		return "!!timestamp"
	}
	return "!!str"
}

func yamlTruth(s string) (any, error) {
	switch strings.ToLower(s) {
	case "yes", "true", "on":
		return true, nil
	case "no", "false", "off":
		return false, nil
	}
	return nil, fmt.Errorf("%.40q is no boolean", s)
}

// yamlInteger knows binary, octal (a leading zero), hexadecimal and base 60.
func yamlInteger(s string) (any, error) {
	digits := strings.ReplaceAll(s, "_", "")
	sign := ""
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		sign, digits = strings.TrimPrefix(digits[:1], "+"), digits[1:]
	}
	base := 10
	switch {
	case strings.HasPrefix(digits, "0b"):
		base, digits = 2, digits[2:]
	case strings.HasPrefix(digits, "0x"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	i, ok := new(big.Int), len(digits) <= maxDigits
	for _, part := range strings.Split(digits, ":") {
		var n *big.Int
		if ok {
			n, ok = new(big.Int).SetString(part, base)
		}
		if !ok {
			return nil, fmt.Errorf("%.40q is no integer", s)
		}
		i.Add(i.Mul(i, big.NewInt(60)), n)
	}
	if sign != "" {
		i.Neg(i)
	}
	return i, nil
}

func yamlReal(s string) (any, error) {
	text := strings.ToLower(strings.ReplaceAll(s, "_", ""))
	sign := 1.0
	if text != "" && (text[0] == '-' || text[0] == '+') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	switch text {
	case ".inf":
		return math.Inf(int(sign)), nil
	case ".nan":
		return math.NaN(), nil
	}
	f := 0.0
	for _, part := range strings.Split(text, ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil && !math.IsInf(n, 0) || !isDecimal(part) {
			return nil, fmt.Errorf("%.40q is no float", s)
		}
		f = f*60 + n
	}
	return sign * f, nil
}

// isDecimal excludes what ParseFloat takes beyond Python's float.
func isDecimal(s string) bool { return !strings.ContainsAny(s, "xXpP") }

// yamlTimestamp is kombu's wrapper of a date or a datetime, which keeps its
// offset, or its lack of one.
func yamlTimestamp(s string) (any, error) {
	m := yamlTime.FindStringSubmatch(s)
	if m == nil {
		return nil, fmt.Errorf("%.40q is no timestamp", s)
	}
	date := m[1] + "-" + twoDigits(m[2]) + "-" + twoDigits(m[3])
	if m[4] == "" {
		_, err := ParseTime(date)
		return wrap("date", date), err
	}
	iso := date + "T" + twoDigits(m[4]) + ":" + m[5] + ":" + m[6]
	if micros := (m[7] + "000000")[:6]; micros != "000000" {
		iso += "." + micros
	}
	switch {
	case m[8] != "":
		iso += "+00:00"
	case m[9] != "":
		iso += m[9] + twoDigits(m[10]) + ":" + twoDigits(m[11])
	}
	if _, err := ParseTime(iso); err != nil {
		return nil, err
	}
	return wrap("datetime", iso), nil
}

func twoDigits(s string) string { return ("00" + s)[len(s):] }

// isInteger reports whether a number's literal is an integer's.
func isInteger(n json.Number) bool {
	return !strings.ContainsAny(string(n), ".eENI")
}
