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
//
// Several URLs of one transport, separated by semicolons, are a failover list as
// in Celery: the first that can be reached is used until it fails.
func Open(url string) (broker.Broker, error) { return OpenOptions(url, nil) }

// OpenOptions is Open with Celery's broker_transport_options, by their Celery
// names (see RedisOptions and AMQPOptions). Values may be as YAML, JSON or a
// command line give them: a number or its text, a list or its items separated by
// commas. An unknown option is an error that names the known ones, and
// matches ErrOption.
func OpenOptions(url string, options map[string]any) (broker.Broker, error) {
	transport, err := transportOf(url)
	if err != nil {
		return nil, err
	}
	if transport == "redis" {
		cfg := redis.Config{URL: url}
		if err := apply(&cfg, RedisOptions, redisOptions, options); err != nil {
			return nil, err
		}
		b, err := redis.New(cfg)
		if err != nil {
			return nil, fmt.Errorf("broker URL: %w", err)
		}
		return b, nil
	}
	cfg := amqp.Config{URL: url}
	if err := apply(&cfg, AMQPOptions, amqpOptions, options); err != nil {
		return nil, err
	}
	b, err := amqp.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("broker URL: %w", err)
	}
	return b, nil
}

// transportOf is "redis" or "amqp", which all URLs of a list must share.
func transportOf(url string) (string, error) {
	transport := ""
	for part := range strings.SplitSeq(url, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		scheme, _, found := strings.Cut(part, "://")
		if !found {
			return "", errors.New("broker URL has no scheme: write it as redis://host:6379/0 or amqp://user:password@host:5672/vhost")
		}
		this := ""
		switch scheme {
		case "redis", "rediss", "redis+socket", "sentinel":
			this = "redis"
		case "amqp", "amqps", "pyamqp", "librabbitmq":
			this = "amqp"
		default:
			return "", fmt.Errorf("no broker driver for %q (known: %s)", scheme+"://", strings.Join(Known, ", "))
		}
		if transport != "" && this != transport {
			return "", errors.New("broker URLs of a failover list must be of one transport: Redis and RabbitMQ are mixed")
		}
		transport = this
	}
	if transport == "" {
		return "", errors.New("broker URL is empty: write it as redis://host:6379/0 or amqp://user:password@host:5672/vhost")
	}
	return transport, nil
}
