package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/internal/version"
	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/monitor/api"
	"github.com/umbel-go/umbel/monitor/pages"
	"github.com/umbel-go/umbel/static"
	"github.com/umbel-go/umbel/templates"
)

// SiteConfig says how the monitor is served.
type SiteConfig struct {
	// Addr is host:port to listen on.
	Addr               string
	Prefix             string
	BasicAuth          []string
	UnauthenticatedAPI bool
}

// site is the monitor with its pages and API on one server.
type site struct {
	monitor  *monitor.Monitor
	server   *web.Server
	renderer *web.Renderer
	hub      *web.Hub
}

// newSite assembles a site; nothing runs before serve.
func newSite(m *monitor.Monitor, brokerURL string, c SiteConfig) (*site, error) {
	renderer, err := web.NewRenderer(templates.FS, static.FS)
	if err != nil {
		return nil, err
	}
	s := &site{monitor: m, renderer: renderer, hub: web.NewHub()}
	s.server, err = web.New(web.Config{
		Addr: c.Addr, Prefix: c.Prefix, BasicAuth: c.BasicAuth, UnauthenticatedAPI: c.UnauthenticatedAPI,
		Renderer: renderer, Hub: s.hub, Version: version.String,
	})
	if err != nil {
		return nil, err
	}
	routes, err := pages.Routes(pages.Config{
		Source: m, Renderer: renderer, WorkersJSON: api.WorkersJSON(m), BrokerURL: brokerURL,
	})
	if err != nil {
		return nil, err
	}
	s.server.Mount(routes, pages.Nav())
	s.server.Mount(api.Routes(m), nil)
	return s, nil
}

// newMonitor follows the events of one connection's broker.
func newMonitor(conn *connection, cfg monitor.Config) (*monitor.Monitor, error) {
	cfg.Sources = []monitor.Source{{
		Broker:  conn.broker,
		Control: control{client.New(client.Config{Broker: conn.broker})},
	}}
	cfg.Version = version.String
	return monitor.New(cfg)
}

// serve listens, runs monitor and live stream until ctx ends, and stops all
// three.
func (s *site) serve(ctx context.Context) error {
	defer stopMonitor(s.monitor)
	if err := s.server.Start(ctx); err != nil {
		return err
	}
	defer s.stopServer(ctx) // before the monitor: no request meets a closed store
	if err := s.monitor.Start(ctx); err != nil {
		return fmt.Errorf("start the monitor: %w", err)
	}
	slog.Info("pages and API are served", "address", s.server.Addr().String())
	live, endLive := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan struct{})
	go func() { defer close(followed); pages.Follow(live, s.monitor.Changes, s.hub) }()
	defer func() { endLive(); <-followed }()
	select {
	case <-ctx.Done():
		return nil
	case <-s.server.Done():
		return fmt.Errorf("the web server ended by itself")
	}
}

func stopMonitor(m *monitor.Monitor) {
	if err := m.Stop(); err != nil {
		slog.Error("stop the monitor", "error", err)
	}
}

func (s *site) stopServer(ctx context.Context) {
	s.hub.Close()
	if err := s.server.Stop(context.WithoutCancel(ctx)); err != nil {
		slog.Warn("stop the web server", "error", err)
	}
}
