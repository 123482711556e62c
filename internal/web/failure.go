package web

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// fail answers an error: JSON to programs, a page to people.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	if s.renderer == nil || WantsJSON(r) {
		writeError(w, status, text)
		return
	}
	s.renderer.Error(w, r, status, text)
}

func writeError(w http.ResponseWriter, status int, text string) {
	body, err := json.Marshal(map[string]string{"error": text})
	if err != nil {
		body = []byte(`{"error": "unknown"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone if this fails
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client is gone if this fails
}

// WantsJSON reports whether an answer is for a program: it asked for JSON, or
// the address is one of the APIs.
func WantsJSON(r *http.Request) bool {
	for _, api := range []string{"/api", "/xingqiao"} {
		if below(r.URL.Path, api) {
			return true
		}
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
