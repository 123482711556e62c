// Package dial turns a broker URL into a driver. It is the only package that
// knows all of them.
package dial

import (
	"errors"
	"fmt"
	"strings"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
)

// Known are the URL schemes that Open understands, as kombu spells them.
var Known = []string{"redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp", "librabbitmq"}

// Open returns the driver for a broker URL with the driver's defaults. Nothing is
// connected yet: the error is about the URL, and never shows its password.
func Open(url string) (broker.Broker, error) {
	scheme, _, found := strings.Cut(url, "://")
	if !found {
		return nil, errors.New("broker URL has no scheme: write it as redis://host:6379/0 or amqp://user:password@host:5672/vhost")
	}
	switch scheme {
	case "redis", "rediss", "redis+socket", "sentinel":
		b, err := redis.New(redis.Config{URL: url})
		if err != nil {
			return nil, fmt.Errorf("broker URL: %w", err)
		}
		return b, nil
	case "amqp", "amqps", "pyamqp", "librabbitmq":
		b, err := amqp.New(amqp.Config{URL: url})
		if err != nil {
			return nil, fmt.Errorf("broker URL: %w", err)
		}
		return b, nil
	}
	return nil, fmt.Errorf("no broker driver for %q (known: %s)", scheme+"://", strings.Join(Known, ", "))
}
