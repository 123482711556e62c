package api

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/search"
	"github.com/umbel-go/umbel/monitor/store"
	"github.com/umbel-go/umbel/protocol"
)

// refusal is an answer other than 200 with a text for the caller.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// unavailable is Flower's text for a broker that does not answer.
const unavailable = "Broker or result backend unavailable"

// handler answers a request, or returns an error for serveError to answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		serveError(w, r, err)
	}
}

func serveError(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	var syntax *search.SyntaxError
	status, text := http.StatusInternalServerError, "Internal error: the log of umbel tells more"
	switch {
	case errors.As(err, &refused):
		status, text = refused.status, refused.text
	case errors.As(err, &syntax):
		writeJSON(w, r, http.StatusBadRequest, protocol.Object{{Name: "error", Value: syntax.Error()}})
		return
	case errors.Is(err, store.ErrBadQuery):
		status, text = http.StatusBadRequest, err.Error()
	case errors.Is(err, broker.ErrConnection), errors.Is(err, broker.ErrReadOnly), errors.Is(err, broker.ErrRefused), errors.Is(err, monitor.ErrNoControl):
		status, text = http.StatusServiceUnavailable, unavailable
	case r.Context().Err() != nil:
		return // nobody waits for the answer
	}
	if status >= 500 {
		slog.WarnContext(r.Context(), "request failed", "path", r.URL.Path, "status", status, "error", err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client is gone if this fails
}

// jsonType is the content type of every JSON answer of Flower.
const jsonType = "application/json; charset=UTF-8"

// writeJSON answers with a whole value.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := protocol.Marshal(v)
	if err != nil {
		serveError(w, r, fmt.Errorf("write answer: %w", err))
		return
	}
	sendJSON(w, r, status, escapeSlash(body))
}

func ok(w http.ResponseWriter, r *http.Request, v any) error {
	writeJSON(w, r, http.StatusOK, v)
	return nil
}

// sendJSON sends a body with an Etag, or 304 when the client has it.
func sendJSON(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", jsonType)
	if status == http.StatusOK && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		sum := sha1.Sum(body)
		tag := `"` + hex.EncodeToString(sum[:]) + `"`
		h.Set("Etag", tag)
		if has(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

func has(list, tag string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// escapeSlash writes "</" as Tornado does, so that JSON can stand in a page.
func escapeSlash(body []byte) []byte {
	return bytes.ReplaceAll(body, []byte("</"), []byte(`<\/`))
}
