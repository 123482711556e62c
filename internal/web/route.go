// Package web is the server that every page and API of Umbel is mounted in: one
// gate for access, one set of templates, one navigation.
package web

import "net/http"

// Access says who may call a route; the gate of the Server holds the rules.
type Access int

// Kinds of access.
const (
	// Open routes answer everybody: health, metrics, static files.
	Open Access = iota
	// Page routes are pages that only read.
	Page
	// API routes are JSON that only reads.
	API
	// Action routes change something, whatever their method.
	Action
	// CompatAction routes are XingQiao's: as Action, and refused to every
	// cross-site request even for GET.
	CompatAction
)

// Route is one entry of the server. Path is a gorilla/mux pattern below the URL
// prefix ("/task/{id}"); a trailing slash is tolerated.
type Route struct {
	Methods []string // empty means GET and HEAD
	Path    string
	Access  Access
	Handler http.Handler
}

// Nav is one entry of the page header.
type Nav struct {
	Title string // English; the catalogue of the renderer translates it
	Path  string
	Order int
}
