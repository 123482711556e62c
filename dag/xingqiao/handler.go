// Package xingqiao serves the HTTP interface of XingQiao, the workflow service of
// the Butterfly framework, so that its callers need no change: same paths, same
// parameters, same replies.
package xingqiao

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/protocol"
)

// Codes of the interface itself.
const (
	statOK              = "OK"
	statBadParams       = "ERR_BAD_PARAMS"
	statException       = "ERR_SERVER_EXCEPTION"
	statJobExists       = "ERR_JOB_EXIST"
	statTypeUnknown     = "ERR_JOB_TYPE_NOT_EXISTS"
	statExtraInvalid    = "ERR_JOB_EXTRA_INVALID"
	statCreateFailed    = "ERR_JOB_CREATE_FAILED"
	statJobNotExist     = "ERR_JOB_NOT_EXIST"
	apiVersion          = "1.0.8" // header "xingqiao" of the public handler
	maxBody             = 1 << 20
	defaultJobTimeout   = time.Hour
	defaultUser         = "-"
	timeFormat          = "2006-01-02 15:04:05"
	reasonNoSuchHandler = "API Not Found"
)

// Config is what the handlers need.
type Config struct {
	Engine  *engine.Engine
	Plugins *Registry
	// Version is told in the header "butterfly".
	Version string
	// Location is the zone that times are shown in; nil means the local one.
	Location *time.Location
	// RealIP takes the caller's address from X-Real-IP: only behind a proxy that
	// sets it.
	RealIP bool
}

// Routes are XingQiao's routes. Methods are not told apart: parameters come from
// the query and from a JSON body, the body winning. Every reply but that to an
// unknown path has status 200 and a member "stat".
func Routes(cfg Config) []web.Route {
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	h := &handlers{cfg: cfg}
	route := func(path string, handler http.Handler) web.Route {
		return web.Route{
			Methods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
			Path:    path, Access: web.CompatAction, Handler: handler,
		}
	}
	return []web.Route{
		route("/xingqiao/create_job", h.serve(h.createJob)),
		route("/xingqiao/get_job_detail", h.serve(h.jobDetail)),
		route("/xingqiao/list_tasks", h.serve(h.listTasks)),
		route("/xingqiao/{handler}", http.HandlerFunc(h.unknown)),
	}
}

type handlers struct{ cfg Config }

// call is one request.
type call struct {
	reqID    string
	client   string
	operator string
	params   protocol.Object
}

// handler answers with a code and the members beside it. An error is an
// unexpected one: ERR_SERVER_EXCEPTION.
type handler func(ctx context.Context, c *call) (stat string, members protocol.Object, err error)

func (h *handlers) serve(fn handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		c := &call{reqID: newReqID(), client: h.clientOf(r), operator: operatorOf(r)}
		var stat, reason string
		var members protocol.Object
		params, err := readParams(w, r)
		if err != nil {
			stat, reason = statBadParams, err.Error()
		} else {
			c.params = params
			stat, members, err = fn(r.Context(), c)
		}
		if err != nil && stat == "" {
			slog.ErrorContext(r.Context(), "xingqiao handler", "path", r.URL.Path, "reqid", c.reqID, "error", err)
			stat, members, reason = statException, nil, "the log has the reason under reqid "+c.reqID
		} else if err != nil {
			reason = err.Error()
		}
		w.Header().Set("Xingqiao", apiVersion)
		h.reply(w, c.reqID, begun, reason, append(protocol.Object{{Name: "stat", Value: stat}}, members...))
	})
}

// reply writes the object as Python's json.dumps does.
func (h *handlers) reply(w http.ResponseWriter, reqID string, begun time.Time, reason string, o protocol.Object) {
	body, err := protocol.Marshal(o)
	if err != nil {
		body = []byte(`{"stat": "` + statException + `"}`)
	}
	h.headers(w, reqID, begun, reason)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client is gone if this fails
}

func (h *handlers) headers(w http.ResponseWriter, reqID string, begun time.Time, reason string) {
	header := w.Header()
	header.Set("Butterfly", h.cfg.Version)
	header.Set("X-Reqid", reqID)
	header.Set("X-Cost", strconv.FormatFloat(time.Since(begun).Seconds(), 'f', 6, 64))
	if reason != "" {
		header.Set("X-Reason", strings.Map(printable, reason))
	}
}

// printable keeps a header to one line of ASCII.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

func (h *handlers) unknown(w http.ResponseWriter, r *http.Request) {
	h.headers(w, newReqID(), time.Now(), reasonNoSuchHandler)
	w.WriteHeader(http.StatusBadRequest)
}

// newReqID is 16 upper-case hex digits.
func newReqID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// operatorOf reads the caller's name. WSGI maps both spellings to one variable;
// net/http keeps them apart.
func operatorOf(r *http.Request) string {
	for _, name := range []string{"X-Username", "X_username"} {
		if v := r.Header.Get(name); v != "" {
			return v
		}
	}
	return defaultUser
}

func (h *handlers) clientOf(r *http.Request) string {
	if h.cfg.RealIP {
		if ip := net.ParseIP(r.Header.Get("X-Real-IP")); ip != nil {
			return ip.String()
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// allow refuses parameters that the handler does not have.
func (c *call) allow(names ...string) error {
next:
	for _, p := range c.params {
		for _, n := range names {
			if p.Name == n {
				continue next
			}
		}
		return fmt.Errorf("unknown parameter %s", p.Name)
	}
	return nil
}
