package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/umbel-go/umbel/broker/embedded"
	"github.com/umbel-go/umbel/client"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/worker"
)

// UpConfig configures `umbel up`.
type UpConfig struct {
	Connection
	// Listen is the address of pages and API, BrokerListen of the embedded
	// broker, which runs unless Broker is given.
	Listen, BrokerListen string
	// Data is the folder for every file that is written.
	Data string
	// Demo registers the demo tasks and keeps sample work flowing.
	Demo   bool
	Worker WorkerConfig
	// Out is where the addresses are printed.
	Out io.Writer
}

// ExternalQueue is what `up` consumes on a broker that is not its own, where the
// default queue belongs to somebody.
const ExternalQueue = "umbel"

// Up runs broker, worker, monitor and workflows until ctx ends.
func Up(ctx context.Context, c UpConfig) error {
	if err := portFree(c.Listen, "--listen"); err != nil {
		return err
	}
	unlock, err := lockFolder(c.Data)
	if err != nil {
		return err
	}
	defer unlock()
	var own *embedded.Server
	var warning string
	if c.Broker == "" {
		if own, err = embedded.Start(ctx, embedded.Config{Dir: c.Data, Addr: c.BrokerListen}); err != nil {
			return err
		}
		defer stopBroker(ctx, own)
		c.Broker, warning = own.URL(), own.Warning()
	} else if len(c.Worker.Queues) == 0 && !c.Demo {
		c.Worker.Queues = []string{ExternalQueue}
	}
	conn, err := c.open()
	if err != nil {
		return err
	}
	defer conn.close()
	if conn.fleeting {
		slog.Warn("results come back as messages (rpc://), which are lost when this process ends, and workflows with them; give --result-backend redis://host:6379/0")
	}
	h, err := newHouse(ctx, conn, c)
	if err != nil {
		return err
	}
	run := func(ctx context.Context) error {
		return h.run(ctx, func() { announce(c, h.worker.Name(), warning) })
	}
	if own == nil {
		return run(ctx)
	}
	return besideBroker(ctx, own, h.worker.Interrupt, run)
}

// portFree finds a taken port before anything is started.
func portFree(addr, option string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another address with %s", addr, err, option)
	}
	return l.Close()
}

// house is everything that `up` runs on one connection.
type house struct {
	conn      *connection
	worker    *worker.Worker
	site      *site
	workflows *workflows
	// sample is the workflow that sample work runs; "" without sample work.
	sample string
}

func newHouse(ctx context.Context, conn *connection, c UpConfig) (*house, error) {
	c.Worker.TaskEvents = true
	w, err := newWorker(conn, c.Worker)
	if err != nil {
		return nil, err
	}
	m, err := newMonitor(conn, monitor.Config{Path: filepath.Join(c.Data, "monitor.db")})
	if err != nil {
		return nil, err
	}
	h, err := furnish(ctx, conn, m, c)
	if err != nil {
		stopMonitor(m)
		return nil, err
	}
	h.worker = w
	return h, nil
}

// furnish builds what stands on the monitor.
func furnish(ctx context.Context, conn *connection, m *monitor.Monitor, c UpConfig) (*house, error) {
	s, err := newSite(m, redactURL(c.Broker), SiteConfig{
		Addr: c.Listen, UnauthenticatedAPI: truthy(os.Getenv("FLOWER_UNAUTHENTICATED_API")),
	})
	if err != nil {
		return nil, err
	}
	f, err := newWorkflows(ctx, conn, m, filepath.Join(c.Data, "dag.db"))
	if err != nil {
		return nil, err
	}
	f.mount(s)
	h := &house{conn: conn, site: s, workflows: f}
	if c.Demo {
		if h.sample, err = f.defineDemo(ctx); err != nil {
			f.close()
			return nil, err
		}
	}
	return h, nil
}

// run starts all services and ends them in the order of the flow: first what
// makes work, then the worker, whose last events the monitor still takes. The
// first service that fails ends the others.
func (h *house) run(ctx context.Context, ready func()) error {
	outer, stopOuter := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopOuter(nil)
	inner, stopInner := context.WithCancelCause(ctx)
	defer stopInner(nil)
	var outerEnded, innerEnded sync.WaitGroup
	errs := make(chan error, 4)
	serve := func(wg *sync.WaitGroup, name string, run func() error) {
		wg.Go(func() {
			if err := run(); err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
				stopInner(err)
			}
		})
	}
	serve(&outerEnded, "monitor", func() error { return h.site.serve(outer) })
	serve(&innerEnded, "workflows", func() error { return h.workflows.run(inner, h.site.monitor) })
	serve(&innerEnded, "worker", func() error { return runWorker(inner, h.worker) })
	if h.sample != "" {
		c := client.New(client.Config{Broker: h.conn.broker, Backend: h.conn.backend})
		innerEnded.Go(func() { sample(inner, c, h.workflows.engine, h.sample) })
	}
	select {
	case <-h.worker.Online():
		ready()
	case <-inner.Done():
	}
	<-inner.Done()
	innerEnded.Wait()
	stopOuter(nil)
	outerEnded.Wait()
	h.workflows.close()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// announce tells what people need to know, on the screen.
func announce(c UpConfig, node, warning string) {
	host := c.Listen
	if strings.HasPrefix(host, ":") || strings.HasPrefix(host, "0.0.0.0:") {
		_, port, _ := net.SplitHostPort(host)
		host = "127.0.0.1:" + port
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n  Umbel is up.\n\n  broker    %s    give this URL to Celery as broker and backend\n", redactURL(c.Broker))
	fmt.Fprintf(&b, "  pages     http://%s/\n  worker    %s\n  data      %s\n", host, node, c.Data)
	if warning != "" {
		fmt.Fprintf(&b, "\n  %s\n", strings.ReplaceAll(warning, "\n", "\n  "))
	}
	b.WriteString("\n  Ctrl-C ends it.\n\n")
	if _, err := io.WriteString(c.Out, b.String()); err != nil {
		slog.Warn("cannot print the addresses", "error", err)
	}
}
