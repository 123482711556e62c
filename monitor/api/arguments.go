package api

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/umbel-go/umbel/protocol"
)

// arguments are the parameters of a request as Tornado merges them: the last
// value wins, and form values come after those of the query.
type arguments struct{ query, form url.Values }

func argumentsOf(r *http.Request) arguments {
	a := arguments{query: r.URL.Query()}
	if r.Method == http.MethodPost && r.ParseForm() == nil {
		a.form = r.PostForm
	}
	return a
}

// text is a parameter without surrounding blanks; "" when it is absent.
func (a arguments) text(name string) string {
	v, _ := a.lookup(name)
	return v
}

func (a arguments) lookup(name string) (value string, given bool) {
	for _, values := range []url.Values{a.form, a.query} {
		if v := values[name]; len(v) > 0 {
			return clean(v[len(v)-1]), true
		}
	}
	return "", false
}

func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s))
}

func (a arguments) bool(name string, absent bool) (bool, error) {
	v, given := a.lookup(name)
	if !given {
		return absent, nil
	}
	switch strings.ToLower(v) {
	case "y", "yes", "t", "true", "on", "1":
		return true, nil
	case "n", "no", "f", "false", "off", "0":
		return false, nil
	}
	return false, refuse(http.StatusBadRequest, "Invalid argument '%s' of type 'bool'", v)
}

// int is an integer; given is false when the parameter is absent.
func (a arguments) int(name string) (n int, given bool, err error) {
	v, given := a.lookup(name)
	if !given {
		return 0, false, nil
	}
	n, err = strconv.Atoi(strings.ReplaceAll(v, "_", ""))
	if err != nil {
		return 0, true, refuse(http.StatusBadRequest, "Invalid argument '%s' of type 'int'", v)
	}
	return n, true, nil
}

// span reads name_start and name_end as Unix seconds, 0 for absent ones.
func (a arguments) span(name string) (from, to float64, err error) {
	var okFrom, okTo bool
	from, okFrom = moment(a.text(name + "_start"))
	to, okTo = moment(a.text(name + "_end"))
	if !okFrom || !okTo {
		return 0, 0, refuse(http.StatusBadRequest, "Invalid %s_start or %s_end, expected format 'YYYY-MM-DD HH:MM'", name, name)
	}
	return from, to, nil
}

// moment reads Flower's format in the server's time zone, Unix seconds, or ISO
// 8601. "" is 0.
func moment(s string) (float64, bool) {
	if s == "" {
		return 0, true
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", s, time.Local); err == nil {
		return protocol.Seconds(t), true
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 1e6 {
		return f, true
	}
	if t, err := protocol.ParseTime(s); err == nil && strings.ContainsAny(s, "T:") {
		return protocol.Seconds(t), true
	}
	return 0, false
}
