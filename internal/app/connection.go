// Package app assembles the services of Umbel in one process for the commands.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/umbel-go/umbel/backend"
	backends "github.com/umbel-go/umbel/backend/dial"
	"github.com/umbel-go/umbel/broker"
	brokers "github.com/umbel-go/umbel/broker/dial"
)

// Connection names the broker and the result backend of a command.
type Connection struct {
	Broker string
	// BrokerOptions are Celery's broker_transport_options.
	BrokerOptions map[string]any
	// Backend "" means the broker's Redis, or rpc:// on RabbitMQ.
	Backend string
	// BackendOptions are Celery's result_* settings.
	BackendOptions map[string]any
}

// connection is an open broker and backend.
type connection struct {
	broker  broker.Broker
	backend backend.Backend
	// fleeting results are messages (rpc) and gone with the process.
	fleeting bool
}

// open makes broker and backend ready; neither connects before it is used.
func (c Connection) open() (*connection, error) {
	b, err := brokers.OpenOptions(c.Broker, c.BrokerOptions)
	if err != nil {
		return nil, err
	}
	results := c.Backend
	if results == "" {
		results = "rpc://"
		if strings.HasPrefix(c.Broker, "redis") {
			results = c.Broker
		}
	}
	r, err := backends.OpenOptions(results, b, c.BackendOptions)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &connection{broker: b, backend: r, fleeting: strings.HasPrefix(results, "rpc:")}, nil
}

func (c *connection) close() {
	var errs []error
	if c.backend != nil {
		errs = append(errs, c.backend.Close())
	}
	errs = append(errs, c.broker.Close())
	if err := errors.Join(errs...); err != nil {
		slog.Warn("close connections", "error", fmt.Sprint(err))
	}
}

// redactURL hides the passwords of a URL, or of a failover list of them, that
// people will read.
func redactURL(raw string) string {
	list := strings.Split(raw, ";")
	for i, one := range list {
		one = strings.TrimSpace(one)
		u, err := url.Parse(one)
		if err != nil || one != "" && u.Scheme == "" { // a password with a semicolon falls apart too
			return "(a URL that cannot be shown)"
		}
		list[i] = u.Redacted()
	}
	return strings.Join(list, ";")
}
