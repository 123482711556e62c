package web

import (
	"context"
	"net/http"
)

// chrome is what the server knows about a request and a page shows around its
// own content.
type chrome struct {
	title    string
	version  string
	prefix   string // "" or "/flower"
	nav      []Nav
	operator bool
	guarded  bool // credentials are configured
	live     bool // there is a live stream
	readOnly bool
}

type chromeKey struct{}

func withChrome(r *http.Request, c *chrome) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), chromeKey{}, c))
}

func chromeOf(r *http.Request) *chrome {
	if c, ok := r.Context().Value(chromeKey{}).(*chrome); ok {
		return c
	}
	return &chrome{title: defaultTitle}
}

// Operator reports whether the gate lets the request's sender change things:
// pages show their controls only then.
func Operator(r *http.Request) bool { return chromeOf(r).operator }

// URL returns the address of a path of this server ("/tasks") as the request's
// sender sees it, below the URL prefix.
func URL(r *http.Request, path string) string { return chromeOf(r).prefix + path }
