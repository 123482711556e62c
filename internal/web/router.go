package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
)

// endpoint is one path with its routes by method.
type endpoint struct {
	path   string
	routes map[string]*Route
	order  []string
}

func (e *endpoint) add(route Route) {
	methods := route.Methods
	if len(methods) == 0 {
		methods = []string{http.MethodGet}
	}
	for _, m := range methods {
		if m == http.MethodHead || m == http.MethodOptions {
			continue // every endpoint answers these by itself
		}
		if e.routes[m] != nil {
			panic(fmt.Sprintf("web: %s %s is mounted twice", m, e.path))
		}
		e.routes[m] = &route
		e.order = append(e.order, m)
	}
}

// find returns the route for a request, or nil when its method is not one of
// the endpoint's. A preflight stands for the method that it asks about.
func (e *endpoint) find(r *http.Request) *Route {
	method := r.Method
	if method == http.MethodOptions {
		if asked := r.Header.Get("Access-Control-Request-Method"); asked != "" {
			method = asked
		} else {
			method = e.order[0]
		}
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return e.routes[method]
}

// strictest is the access that a request with a wrong method is judged by.
func (e *endpoint) strictest() Access {
	a := Open
	for _, route := range e.routes {
		a = max(a, route.Access)
	}
	return a
}

func (e *endpoint) allow() string {
	methods := slices.Clone(e.order)
	if e.routes[http.MethodGet] != nil {
		methods = append(methods, http.MethodHead)
	}
	return strings.Join(append(methods, http.MethodOptions), ", ")
}

// Mount adds routes and navigation. It must not be called after Start or
// Handler. Two routes with the same path and method are a mistake of the
// program: it panics.
func (s *Server) Mount(routes []Route, nav []Nav) {
	for _, route := range routes {
		path := route.Path
		if path != "/" {
			path = strings.TrimSuffix(path, "/")
		}
		e := s.endpoints[path]
		if e == nil {
			e = &endpoint{path: path, routes: map[string]*Route{}}
			s.endpoints[path] = e
			s.router.Handle(path, s.guard(e))
		}
		e.add(route)
	}
	s.nav = append(s.nav, nav...)
	slices.SortStableFunc(s.nav, func(a, b Nav) int { return a.Order - b.Order })
}

// Routes lists every method and path that is mounted, for tests that walk them.
func (s *Server) Routes() []Route {
	var out []Route
	for _, e := range s.endpoints {
		for _, method := range e.order {
			route := *e.routes[method]
			route.Methods, route.Path = []string{method}, e.path
			out = append(out, route)
		}
	}
	slices.SortFunc(out, func(a, b Route) int { return strings.Compare(a.Path+" "+a.Methods[0], b.Path+" "+b.Methods[0]) })
	return out
}

// guard judges every request to an endpoint before its handler sees it.
func (s *Server) guard(e *endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := e.find(r)
		access := e.strictest()
		if route != nil {
			access = route.Access
		}
		r, ok := s.admit(w, r, access)
		switch {
		case !ok:
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", e.allow())
			w.WriteHeader(http.StatusNoContent)
		case route == nil:
			w.Header().Set("Allow", e.allow())
			s.fail(w, r, http.StatusMethodNotAllowed, "This address does not take the method "+r.Method+".")
		default:
			route.Handler.ServeHTTP(w, r)
		}
	})
}

// admit applies the gate; when it returns false the refusal has been written.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, access Access) (*http.Request, bool) {
	v := s.gate.judge(r, access)
	c := *chromeOf(r)
	c.operator = v.operator
	r = withChrome(r, &c)
	if v.cors && !isStatic(r.URL.Path) {
		corsHeaders(w.Header())
	}
	if v.status == 0 {
		return r, true
	}
	s.refuse(w, r, access, v)
	return r, false
}

// refuse answers as Flower does: programs and password prompts get plain text,
// people a page.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, access Access, v verdict) {
	if v.challenge {
		w.Header().Set("WWW-Authenticate", `Basic realm="flower"`)
	}
	if v.status == http.StatusForbidden && !access.programs() {
		s.fail(w, r, v.status, v.text)
		return
	}
	plain(w, v.status, v.text)
}

// notFound answers for paths that nobody mounted; they are Open, but a write
// from another site is refused even there.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	r, ok := s.admit(w, r, Open)
	switch {
	case !ok:
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	default:
		s.fail(w, r, http.StatusNotFound, "There is nothing at this address.")
	}
}

func (s *Server) newRouter() *mux.Router {
	router := mux.NewRouter().SkipClean(true)
	router.NotFoundHandler = http.HandlerFunc(s.notFound)
	return router
}
