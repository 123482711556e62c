// Package monitor follows the events of Celery workers, Python's and Umbel's,
// keeps what they tell, and answers questions about workers, tasks and queues.
// Packages monitor/api and monitor/pages show it to the world.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/sqlitex"
	"github.com/umbel-go/umbel/monitor/metrics"
	"github.com/umbel-go/umbel/monitor/store"
)

// Defaults of Config.
const (
	DefaultMaxTasks       = 1_000_000
	DefaultMaxAge         = 7 * 24 * time.Hour
	DefaultMaxBytes       = 2 << 30
	DefaultPurgeOffline   = 24 * time.Hour
	DefaultInspectTimeout = time.Second
)

// ErrNoControl means that a source has no Control, so that its workers cannot be
// told anything.
var ErrNoControl = errors.New("this monitor cannot send control commands")

// Source is a broker whose events are followed.
type Source struct {
	// Name identifies it in queries and in the store; "" means its URL without
	// the password.
	Name    string
	Broker  broker.Broker
	Control Control // nil: nothing is inspected
}

// Config configures a Monitor. Sources is required.
type Config struct {
	Sources []Source
	// Path is the SQLite file; sqlitex.Memory or "" keeps nothing.
	Path string
	// MaxTasks is how many tasks are kept for each source; 0 means 1,000,000.
	// MaxAge is how long, since their last event; 0 means 7 days, negative for
	// ever.
	MaxTasks int
	MaxAge   time.Duration
	// MaxBytes is what the database may take; 0 means 2 GiB, negative any.
	MaxBytes int64
	// PurgeOffline hides workers from lists that long after their last sign of
	// life; 0 means 24 h, negative never.
	PurgeOffline time.Duration
	// NoEnableEvents stops asking workers every 5 s to send task events.
	NoEnableEvents bool
	// InspectTimeout is how long inspect waits for answers; 0 means 1 s.
	InspectTimeout time.Duration
	// Queues are shown where no worker told what it consumes from; empty means
	// "celery".
	Queues []string
	// Version of the program, for /api/stats.
	Version string
	// Metrics tunes the metrics.
	Metrics metrics.Config
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Path == "" {
		c.Path = sqlitex.Memory
	}
	if c.MaxTasks == 0 {
		c.MaxTasks = DefaultMaxTasks
	}
	if c.MaxAge == 0 {
		c.MaxAge = DefaultMaxAge
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.PurgeOffline == 0 {
		c.PurgeOffline = DefaultPurgeOffline
	}
	if c.InspectTimeout == 0 {
		c.InspectTimeout = DefaultInspectTimeout
	}
	if len(c.Queues) == 0 {
		c.Queues = []string{"celery"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Monitor follows events from Start to Stop. Its methods are safe for concurrent
// use and may be called before Start; they then answer from the store.
type Monitor struct {
	cfg     Config
	store   *store.Store
	metrics *metrics.Metrics
	sources []*source
	hub     hub
	started time.Time

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New opens the store. The caller must call Stop, also without Start.
func New(cfg Config) (*Monitor, error) {
	if len(cfg.Sources) == 0 {
		return nil, errors.New("monitor: no broker to follow; name one with --broker")
	}
	cfg = cfg.withDefaults()
	m := &Monitor{cfg: cfg, metrics: metrics.New(cfg.Metrics), started: cfg.Now(), cancel: func() {}}
	ctx := context.Background()
	var err error
	m.store, err = store.Open(ctx, store.Config{Path: cfg.Path, MaxTasks: cfg.MaxTasks, MaxAge: cfg.MaxAge, MaxBytes: cfg.MaxBytes, Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	for _, src := range cfg.Sources {
		if src.Name == "" {
			src.Name = src.Broker.Info().URL
		}
		s, err := newSource(ctx, m, src)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("monitor: %w", err), m.store.Close())
		}
		m.sources = append(m.sources, s)
	}
	m.metrics.Collect(m.figures)
	return m, nil
}

// Start begins to follow events and returns at once. They are followed until
// Stop, whatever becomes of ctx: what has arrived must still be stored.
func (m *Monitor) Start(ctx context.Context) error {
	ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, s := range m.sources {
		s.start(ctx, &m.wg)
	}
	return nil
}

// Stop stores what is not yet stored, ends every stream of Changes and closes the
// store.
func (m *Monitor) Stop() error {
	m.cancel()
	m.wg.Wait()
	m.hub.close()
	if err := m.store.Close(); err != nil {
		return fmt.Errorf("close the monitor's store: %w", err)
	}
	return nil
}

// Version is that of the program, "" when it was not told.
func (m *Monitor) Version() string { return m.cfg.Version }

// Metrics are the monitor's Prometheus metrics.
func (m *Monitor) Metrics() *metrics.Metrics { return m.metrics }
