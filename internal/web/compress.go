package web

import (
	"compress/gzip"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// compressMin is the size in bytes below which gzip saves nothing.
const compressMin = 1024

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, 5) // the level is valid, so there is no error
	return w
}}

// compressed serves next with gzip for text where the client takes it. Live
// streams, upgrades and answers that are already encoded pass untouched.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead || r.Header.Get("Upgrade") != "" || !acceptsGzip(r.Header) {
			next.ServeHTTP(w, r)
			return
		}
		cw := &compressWriter{ResponseWriter: w, status: http.StatusOK}
		// The deferred close also runs when next panics; what was written
		// so far then goes out as it is.
		defer cw.close()
		next.ServeHTTP(cw, r)
	})
}

func acceptsGzip(h http.Header) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}

// compressWriter holds back the first bytes until it knows whether compressing
// is worth it.
type compressWriter struct {
	http.ResponseWriter
	status  int
	held    []byte
	started bool // the header is out
	gz      *gzip.Writer
}

// Unwrap lets http.ResponseController reach the connection.
func (w *compressWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *compressWriter) WriteHeader(status int) {
	if w.started {
		return
	}
	if status >= 100 && status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
}

func (w *compressWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.held = append(w.held, p...)
		if len(w.held) < compressMin {
			return len(p), nil
		}
		return len(p), w.start(true)
	}
	if w.gz != nil {
		return w.gz.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Flush sends what is held; a stream that flushes is not compressed.
func (w *compressWriter) Flush() {
	_ = w.start(false) // a broken connection shows at the next write
	if w.gz != nil {
		_ = w.gz.Flush()
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *compressWriter) start(worthIt bool) error {
	if w.started {
		return nil
	}
	w.started = true
	h := w.Header()
	if h.Get("Content-Type") == "" && len(w.held) > 0 {
		h.Set("Content-Type", http.DetectContentType(w.held))
	}
	text := textual(h.Get("Content-Type"))
	if text {
		h.Add("Vary", "Accept-Encoding")
	}
	if worthIt && text && h.Get("Content-Encoding") == "" && w.status != http.StatusPartialContent {
		h.Del("Content-Length")
		h.Set("Content-Encoding", "gzip")
		w.gz = gzipWriters.Get().(*gzip.Writer)
		w.gz.Reset(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(w.status)
	held := w.held
	w.held = nil
	if len(held) == 0 {
		return nil
	}
	var err error
	if w.gz != nil {
		_, err = w.gz.Write(held)
	} else {
		_, err = w.ResponseWriter.Write(held)
	}
	return err
}

func (w *compressWriter) close() {
	_ = w.start(false) // the client is gone if this fails; nobody is left to tell
	if w.gz != nil {
		_ = w.gz.Close()
		gzipWriters.Put(w.gz)
		w.gz = nil
	}
}

func textual(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch media {
	case "text/event-stream":
		return false
	case "application/json", "application/javascript", "application/x-ndjson", "image/svg+xml":
		return true
	}
	return strings.HasPrefix(media, "text/")
}
