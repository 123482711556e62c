package app

import (
	"context"
	"net"
	"os"
	"strconv"

	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/monitor"
)

// MonitorConfig configures `umbel monitor`.
type MonitorConfig struct {
	Connection
	Address  string // "" listens on all interfaces
	Port     int
	Prefix   string
	DB       string // SQLite file; ":memory:" keeps nothing
	MaxTasks int
	// Persistent false keeps nothing, whatever DB says.
	Persistent bool
	BasicAuth  string // "user:password,user:password"
}

// RunMonitor runs the monitor alone until ctx ends.
func RunMonitor(ctx context.Context, c MonitorConfig) error {
	conn, err := c.open()
	if err != nil {
		return err
	}
	defer conn.close()
	if !c.Persistent {
		c.DB = sqlitex.Memory
	}
	if c.DB != sqlitex.Memory {
		unlock, err := lockDatabase(c.DB)
		if err != nil {
			return err
		}
		defer unlock()
	}
	m, err := newMonitor(conn, monitor.Config{Path: c.DB, MaxTasks: c.MaxTasks})
	if err != nil {
		return err
	}
	s, err := newSite(m, redactURL(c.Broker), SiteConfig{
		Addr: net.JoinHostPort(c.Address, strconv.Itoa(c.Port)), Prefix: c.Prefix,
		BasicAuth: splitUsers(c.BasicAuth), UnauthenticatedAPI: truthy(os.Getenv("FLOWER_UNAUTHENTICATED_API")),
	})
	if err != nil {
		stopMonitor(m)
		return err
	}
	return s.serve(ctx)
}
