package web

import (
	"net/http"
	"net/url"
	"strings"
)

// aliasPrefix is served as if it were the configured prefix when none is: an
// nginx written for Flower passes it on unchanged.
const aliasPrefix = "/flower"

func cleanPrefix(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return ""
	}
	return "/" + prefix
}

// prefixed strips the URL prefix and a trailing slash from the path, and
// remembers the prefix for links.
func (s *Server) prefixed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix := s.prefix
		if prefix == "" && below(r.URL.Path, aliasPrefix) {
			prefix = aliasPrefix
		}
		c := s.chromeFor(prefix)
		r = withChrome(r, c)
		switch {
		case !below(r.URL.Path, prefix):
			s.notFound(w, r)
		case r.URL.Path == prefix && prefix != "":
			target := url.URL{Path: prefix + "/", RawQuery: r.URL.RawQuery}
			http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
		default:
			path := strings.TrimPrefix(r.URL.Path, prefix)
			if path != "/" {
				path = strings.TrimSuffix(path, "/")
			}
			next.ServeHTTP(w, withPath(r, path))
		}
	})
}

// below reports whether path is prefix or lies under it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func withPath(r *http.Request, path string) *http.Request {
	if path == r.URL.Path {
		return r
	}
	u := *r.URL
	u.Path, u.RawPath = path, ""
	r2 := *r
	r2.URL = &u
	return &r2
}
