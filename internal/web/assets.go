package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

// staticPath is where assets live. "/static/-<hash>/app.js" is the same file
// as "/static/app.js", cached for ever: the hash is of the whole tree, so that
// a module's relative imports inherit it. A page of an earlier version still
// gets its files, today's and uncached.
const staticPath = "/static/"

func isStatic(p string) bool { return strings.HasPrefix(p, staticPath) }

type assets struct {
	files map[string]asset
	hash  string
}

type asset struct {
	data        []byte
	contentType string
	etag        string
}

func loadAssets(fsys fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	tree := sha256.New()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".go") {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(tree, "%s\x00%x\x00", name, sum)
		a.files[name] = asset{data: data, contentType: contentType(name), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load static files: %w", err)
	}
	a.hash = hex.EncodeToString(tree.Sum(nil)[:6])
	return a, nil
}

// contentType does not ask the machine's MIME tables, which differ.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".json":
		return "application/json"
	default:
		return mime.TypeByExtension(ext)
	}
}

// path is the address of an asset below the prefix.
func (a *assets) path(name string) (string, error) {
	if _, ok := a.files[name]; !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return staticPath + "-" + a.hash + "/" + name, nil
}

func (a *assets) routes() []Route {
	serve := http.HandlerFunc(a.serve)
	return []Route{{Path: staticPath + "{file:.+}", Access: Open, Handler: serve}}
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	name, cache := mux.Vars(r)["file"], "no-cache"
	if hashed, ok := strings.CutPrefix(name, "-"); ok {
		var hash string
		if hash, name, _ = strings.Cut(hashed, "/"); hash == a.hash {
			cache = "public, max-age=31536000, immutable"
		}
	}
	file, ok := a.files[name]
	if !ok {
		plain(w, http.StatusNotFound, "There is no such file.")
		return
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Type", file.contentType)
	w.Header().Set("Etag", file.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.data))
}
