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
	// Backend "" means the broker's Redis, or rpc:// on RabbitMQ.
	Backend string
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
	b, err := brokers.Open(c.Broker)
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
	r, err := backends.Open(results, b)
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

// redactURL hides the password of a URL that people will read.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a URL that cannot be shown)"
	}
	return u.Redacted()
}
