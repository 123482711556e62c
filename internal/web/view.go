package web

import (
	"crypto/rand"
	"net/http"
	"strings"
)

// view is what layout.html is executed with; "content" gets it too.
type view struct {
	Data any // the handler's

	Page      string // "tasks.html"
	Site      string // "Umbel"
	Version   string
	Lang      string
	Languages []languageLink
	Nav       []navLink
	Notices   []Notice
	Search    string // what the search box holds

	Operator bool // may change things
	Guarded  bool // passwords are asked for
	ReadOnly bool
	Live     bool
}

type navLink struct {
	Title, Path string
	Current     bool
}

type languageLink struct {
	Tag, Name, Short, Href string
	Current                bool
}

func newView(r *http.Request, c *chrome, lang, page string, data any) *view {
	v := &view{
		Data: data, Page: page, Site: c.title, Version: c.version, Lang: lang,
		Search:   r.URL.Query().Get("q"),
		Operator: c.operator, Guarded: c.guarded, ReadOnly: c.readOnly, Live: c.live,
	}
	current := currentNav(c.nav, r.URL.Path)
	for i, n := range c.nav {
		v.Nav = append(v.Nav, navLink{Title: n.Title, Path: n.Path, Current: i == current})
	}
	for _, l := range languages {
		v.Languages = append(v.Languages, languageLink{
			Tag: l.tag, Name: l.name, Short: l.short, Href: Query(r, "lang", l.tag), Current: l.tag == lang,
		})
	}
	if n, ok := data.(Noticer); ok {
		v.Notices = n.Notices()
	}
	return v
}

// currentNav is the index of the entry that the path belongs to, or -1: the
// longest one, where "/tasks" also stands for "/task/...".
func currentNav(nav []Nav, path string) int {
	best, length := -1, 0
	for i, n := range nav {
		if n.Path == "/" {
			if path == "/" || path == "/dashboard" {
				return i
			}
			continue
		}
		singular := strings.TrimSuffix(n.Path, "s")
		if (below(path, n.Path) || below(path, singular)) && len(n.Path) > length {
			best, length = i, len(n.Path)
		}
	}
	return best
}

// xsrfCookie is Flower's; scripts written for it read the cookie and send its
// value back. The cross-site rules protect without it.
const xsrfCookie = "_xsrf"

func newXSRFCookie(secure bool) *http.Cookie {
	return &http.Cookie{Name: xsrfCookie, Value: rand.Text(), Path: "/", Secure: secure, SameSite: http.SameSiteLaxMode}
}
