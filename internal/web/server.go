package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/gorilla/mux"
)

const (
	defaultTitle = "Umbel"
	// grace is how long Stop lets running requests finish.
	grace = 2 * time.Second
)

// Config configures a Server. Only Addr is needed.
type Config struct {
	// Addr is host:port to listen on. An empty host means all interfaces,
	// port 0 any free one.
	Addr string
	// Prefix puts everything below a path ("flower", "/a/b/"). With none,
	// "/flower/..." is answered as well.
	Prefix string
	// BasicAuth are "user:password" pairs; with any, everybody needs one.
	BasicAuth []string
	// UnauthenticatedAPI opens the API to everybody when BasicAuth is empty
	// (FLOWER_UNAUTHENTICATED_API).
	UnauthenticatedAPI bool
	// CORS lets other sites' pages read answers, with auth too (cors_enabled).
	CORS bool
	// ReadOnly refuses everything that changes something.
	ReadOnly bool

	// Renderer draws error pages and serves static files; nil answers errors
	// as JSON.
	Renderer *Renderer
	// Hub feeds /stream; nil has no live updates.
	Hub *Hub
	// Title stands in the header and in titles of pages, default "Umbel".
	Title string
	// Version stands in the footer.
	Version string

	// TLS, when set, serves HTTPS.
	TLS *tls.Config
	// ReadHeaderTimeout defaults to 5 s, ReadTimeout to 60 s, WriteTimeout to
	// 2 min (live streams excepted), IdleTimeout to 2 min.
	ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxBody bounds request bodies, in bytes; default 10 MiB.
	MaxBody int64
	// Log defaults to slog.Default.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.ReadHeaderTimeout, 5*time.Second)
	set(&c.ReadTimeout, time.Minute)
	set(&c.WriteTimeout, 2*time.Minute)
	set(&c.IdleTimeout, 2*time.Minute)
	if c.MaxBody == 0 {
		c.MaxBody = 10 << 20
	}
	if c.Title == "" {
		c.Title = defaultTitle
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Server is the one HTTP server of a process. Mount everything, then Start it.
type Server struct {
	config   Config
	log      *slog.Logger
	gate     gate
	prefix   string
	renderer *Renderer

	router    *mux.Router
	endpoints map[string]*endpoint
	nav       []Nav

	http     *http.Server
	listener net.Listener
	cancel   context.CancelFunc // ends the contexts of all requests
	silent   silentConns
	done     chan struct{} // closed when serving has ended
	err      error         // why it ended; read after done
}

// New returns a server with static files and the live stream mounted. It fails
// when a BasicAuth entry is malformed.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	users, err := newCredentials(c.BasicAuth)
	if err != nil {
		return nil, fmt.Errorf("web server: %w", err)
	}
	s := &Server{
		config:    c,
		log:       c.Log,
		gate:      gate{users: users, openAPI: c.UnauthenticatedAPI, readOnly: c.ReadOnly, cors: c.CORS},
		prefix:    cleanPrefix(c.Prefix),
		renderer:  c.Renderer,
		endpoints: map[string]*endpoint{},
		done:      make(chan struct{}),
	}
	s.router = s.newRouter()
	if c.Renderer != nil {
		s.Mount(c.Renderer.assets.routes(), nil)
	}
	if c.Hub != nil {
		s.Mount([]Route{{Path: "/stream", Access: Page, Handler: c.Hub}}, nil)
	}
	return s, nil
}

// Handler is the whole server as a handler.
func (s *Server) Handler() http.Handler {
	routed := s.prefixed(s.router)
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		securityHeaders(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, s.config.MaxBody)
		routed.ServeHTTP(w, r)
	})
	return observed(s.log, compressed(s.recovered(limited)))
}

func (s *Server) chromeFor(prefix string) *chrome {
	return &chrome{
		title:    s.config.Title,
		version:  s.config.Version,
		prefix:   prefix,
		nav:      s.nav,
		guarded:  len(s.gate.users) > 0,
		live:     s.config.Hub != nil,
		readOnly: s.config.ReadOnly,
	}
}

// Start listens and serves in the background. An address that cannot be
// listened on is an error at once. The context bounds only the start.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.config.Addr)
	if err != nil {
		return listenError(s.config.Addr, err)
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.listener, s.cancel = ln, cancel
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.config.ReadHeaderTimeout,
		ReadTimeout:       s.config.ReadTimeout,
		WriteTimeout:      s.config.WriteTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		TLSConfig:         s.config.TLS,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         s.silent.note,
	}
	go func() {
		defer close(s.done)
		s.err = s.serve(ln)
	}()
	return nil
}

func (s *Server) serve(ln net.Listener) error {
	var err error
	if s.config.TLS != nil {
		err = s.http.ServeTLS(ln, "", "")
	} else {
		err = s.http.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", ln.Addr(), err)
}

func listenError(addr string, err error) error {
	_, port, splitErr := net.SplitHostPort(addr)
	switch {
	case splitErr != nil:
		return fmt.Errorf("cannot listen on %q: it is not of the form host:port: %w", addr, err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s is already in use (%s); stop the program that has it or choose another port "+
			"with --port N, or --listen HOST:PORT for umbel up: %w", port, addr, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("no permission to listen on port %s (%s); choose a port above 1023 "+
			"with --port N, or --listen HOST:PORT for umbel up: %w", port, addr, err)
	}
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// Addr is the address listened on, with the real port; nil before Start.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Done is closed when the server no longer serves, asked to or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends live streams, lets running requests finish for up to 2 s or until
// ctx ends, and cuts the rest. It returns the error that serving ended with.
func (s *Server) Stop(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	defer s.cancel()
	if s.config.Hub != nil {
		s.config.Hub.Close()
	}
	s.silent.close()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.WarnContext(ctx, "cutting requests that did not finish", "after", grace)
		if err := s.http.Close(); err != nil {
			s.log.DebugContext(ctx, "closing connections", "error", err)
		}
	}
	<-s.done
	return s.err
}
