package web

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
)

// Renderer draws pages. Its file system holds layout.html, partials/*.html,
// lang/*.json and one file per page, which defines the templates "title" and
// "content"; package templates tells more. It is safe for concurrent use.
type Renderer struct {
	source fs.FS
	assets *assets
	texts  catalogue

	mu   sync.Mutex
	sets map[setKey]pageSet
}

// setKey names one compiled set of pages. Links and language are bound when a
// set is made, so that templates call url and t wherever they are.
type setKey struct{ lang, prefix string }

type pageSet map[string]*template.Template

// Notice is a banner above a page.
type Notice struct {
	Tone   string // "bad", "warn" or "info"
	Text   string // English, translated
	Detail string // shown as it is: an error, an address
}

// Noticer is implemented by page data that has something to say above it.
type Noticer interface {
	Notices() []Notice
}

// NewRenderer reads the templates and the static files they refer to. An error
// means that one of them is broken.
func NewRenderer(templates, static fs.FS) (*Renderer, error) {
	a, err := loadAssets(static)
	if err != nil {
		return nil, err
	}
	texts, err := loadCatalogue(templates)
	if err != nil {
		return nil, err
	}
	r := &Renderer{source: templates, assets: a, texts: texts, sets: map[setKey]pageSet{}}
	if _, err := r.set(setKey{lang: english}); err != nil {
		return nil, err
	}
	return r, nil
}

// set returns the pages for a language and prefix, compiling them at first use.
// There are few of them: the prefix is the server's or its alias.
func (rd *Renderer) set(key setKey) (pageSet, error) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if set, ok := rd.sets[key]; ok {
		return set, nil
	}
	base, err := template.New("").Funcs(rd.funcs(key)).ParseFS(rd.source, "layout.html", "partials/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse templates: %w", err)
	}
	names, err := fs.Glob(rd.source, "*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	set := pageSet{}
	for _, name := range names {
		if name == "layout.html" {
			continue
		}
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(rd.source, name)
		}
		if err != nil {
			return nil, fmt.Errorf("parse template %s: %w", name, err)
		}
		set[name] = page
	}
	rd.sets[key] = set
	return set, nil
}

// Render writes the page of the file name ("tasks.html") with data. What the
// page shows around the content comes from the server through the request.
func (rd *Renderer) Render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	body, lang, err := rd.draw(r, name, data)
	if err != nil {
		slog.ErrorContext(r.Context(), "page could not be drawn", "page", name, "error", err)
		plain(w, http.StatusInternalServerError, "This page could not be drawn. The log of the monitor has the reason.")
		return
	}
	rd.remember(w, r, lang)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Accept-Language, Cookie")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

// Error writes the error page. Text is English and gets translated.
func (rd *Renderer) Error(w http.ResponseWriter, r *http.Request, status int, text string) {
	rd.Render(w, r, status, "error.html", map[string]any{
		"Status": status, "Name": http.StatusText(status), "Text": text,
	})
}

func (rd *Renderer) draw(r *http.Request, name string, data any) (body []byte, lang string, err error) {
	c := chromeOf(r)
	lang = languageOf(r)
	set, err := rd.set(setKey{lang: lang, prefix: c.prefix})
	if err != nil {
		return nil, "", err
	}
	page, ok := set[name]
	if !ok {
		return nil, "", fmt.Errorf("there is no template %q", name)
	}
	var buf bytes.Buffer
	if err := page.ExecuteTemplate(&buf, "layout", newView(r, c, lang, name, data)); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), lang, nil
}

// remember sets the cookies of a page: the language that was chosen and the
// token that Flower's scripts send back.
func (rd *Renderer) remember(w http.ResponseWriter, r *http.Request, lang string) {
	secure := r.TLS != nil
	if chosen, ok := matchLanguage(r.URL.Query().Get("lang")); ok {
		http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: chosen, Path: "/",
			MaxAge: 365 * 24 * 3600, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode})
	}
	if _, err := r.Cookie(xsrfCookie); err != nil {
		http.SetCookie(w, newXSRFCookie(secure))
	}
}

func (rd *Renderer) funcs(key setKey) template.FuncMap {
	t := func(text string, args ...any) string { return rd.texts.translate(key.lang, text, args...) }
	return template.FuncMap{
		"t":        t,
		"state":    func(s string) Badge { return badgeOf(s, t) },
		"url":      func(parts ...string) string { return key.prefix + strings.Join(parts, "") },
		"segment":  PathEscape,
		"duration": duration,
		"number":   number,
		"truncate": truncate,
		"short":    shortID,
		"stamp":    newStamp,
		"static": func(name string) (string, error) {
			path, err := rd.assets.path(name)
			return key.prefix + path, err
		},
	}
}
