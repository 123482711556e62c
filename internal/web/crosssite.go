package web

import (
	"net/http"
	"net/url"
	"strings"
)

// Texts of Flower 2.2 for a refused cross-site request.
const (
	crossSiteText   = "Cross-site request forbidden"
	crossOriginText = "Cross-origin request forbidden"
)

// crossSite returns the text to refuse the request with when a page of another
// site made it and it could change something; "" lets it pass. Programs, which
// send neither Sec-Fetch-Site nor Origin, always pass.
func crossSite(r *http.Request, a Access) string {
	if safeMethod(r.Method) && !a.changes() {
		return ""
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site == "same-origin":
		return ""
	case site == "none" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return "" // typed into the address bar or a bookmark
	case site != "":
		return crossSiteText
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return ""
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
		return crossOriginText
	}
	return ""
}

func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
