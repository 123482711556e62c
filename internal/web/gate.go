package web

import "net/http"

// unauthenticatedAPIText is Flower's sentence for a closed API.
const unauthenticatedAPIText = "FLOWER_UNAUTHENTICATED_API environment variable is required to enable API without authentication"

const (
	accessDeniedText = "Access denied"
	readOnlyText     = "Read only mode is enabled"
)

// changes reports whether a route of this kind may change something.
func (a Access) changes() bool { return a == Action || a == CompatAction }

// programs reports whether a route of this kind is for programs: closed to
// strangers where pages are open.
func (a Access) programs() bool { return a == API || a.changes() }

// gate decides who may do what. Every route passes it. Its rules, in order:
//
//  1. A write that another site's page caused is refused, whoever asks.
//  2. With credentials configured everybody needs them, but for Open routes.
//  3. Without, a direct loopback peer is the operator.
//  4. Anybody else reads pages, and uses the API only if openAPI says so.
//  5. Read-only mode refuses what changes something, to everybody.
type gate struct {
	users    credentials
	openAPI  bool
	readOnly bool
	cors     bool
}

// verdict is the gate's answer. Status 0 lets the request in.
type verdict struct {
	status    int
	text      string
	challenge bool // ask the browser for a password
	operator  bool // may change things
	cors      bool // other sites' pages may read the answer
}

func (g *gate) judge(r *http.Request, a Access) verdict {
	v := g.admit(r, a)
	v.cors = g.corsFor(a)
	if v.status == 0 && a.changes() && g.readOnly && r.Method != http.MethodOptions {
		v.status, v.text = http.StatusForbidden, readOnlyText
	}
	v.operator = v.operator && !g.readOnly
	return v
}

func (g *gate) admit(r *http.Request, a Access) verdict {
	if text := crossSite(r, a); text != "" {
		return verdict{status: http.StatusForbidden, text: text}
	}
	if len(g.users) > 0 {
		return g.admitUser(r, a)
	}
	if directLoopback(r) {
		return verdict{operator: true}
	}
	if a.programs() && !g.openAPI {
		return verdict{status: http.StatusUnauthorized, text: unauthenticatedAPIText}
	}
	return verdict{operator: g.openAPI}
}

func (g *gate) admitUser(r *http.Request, a Access) verdict {
	switch {
	case g.users.match(r.Header.Get("Authorization")):
		return verdict{operator: true}
	case a == Open, r.Method == http.MethodOptions: // a preflight never carries credentials
		return verdict{}
	case a.programs():
		return verdict{status: http.StatusUnauthorized}
	}
	return verdict{status: http.StatusUnauthorized, text: accessDeniedText, challenge: true}
}

// corsFor keeps what only loopback trust opens out of other sites' reach.
func (g *gate) corsFor(a Access) bool {
	guarded := len(g.users) > 0
	if !guarded && !g.openAPI && a.programs() {
		return false
	}
	return g.cors || (!guarded && g.openAPI)
}
