package web

import "net/http"

// contentSecurityPolicy forbids everything that is not served by this server:
// no inline script or style, no frames, no foreign forms.
const contentSecurityPolicy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func securityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// corsHeaders are Flower 2.2's, word for word.
func corsHeaders(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "x-requested-with,access-control-allow-origin,authorization,content-type")
	h.Set("Access-Control-Allow-Methods", " PUT, DELETE, OPTIONS, POST, GET, PATCH")
}
