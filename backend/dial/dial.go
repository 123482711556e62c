// Package dial turns the URL of a result backend into a driver. It is the one
// place that knows them all; backends over SQL are passed as values instead.
package dial

import (
	"errors"
	"fmt"
	"strings"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/backend/rpc"
	"github.com/umbel-go/umbel/broker"
)

// ErrDisabled means that the URL asks for no result backend: it is empty or
// disabled://, Celery's name for that.
var ErrDisabled = errors.New("results are disabled")

// Open returns the backend that the URL names; it does not connect. b carries the
// results of rpc:// and may be nil for others. Errors show no password.
//
//	redis://, rediss://, redis+socket://, sentinel://  Redis
//	rpc://                                             messages over b
//	disabled:// or ""                                  ErrDisabled
func Open(url string, b broker.Broker) (backend.Backend, error) {
	scheme, _, _ := strings.Cut(url, ":")
	switch scheme {
	case "redis", "rediss", "redis+socket", "sentinel", "sentinel+rediss":
		return opened(redis.New(redis.Config{URL: url}))
	case "rpc":
		if b == nil {
			return nil, errors.New("result backend rpc:// needs a broker to send results over")
		}
		return rpc.New(rpc.Config{Broker: b}), nil
	case "disabled", "":
		return nil, ErrDisabled
	case "amqp", "amqps", "pyamqp":
		return nil, errors.New("result backend amqp:// left Celery with version 5; rpc:// sends results over the broker")
	}
	return nil, fmt.Errorf("result backend %s:// is not supported; use redis://host:6379/0 or rpc://", shorten(scheme))
}

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[B backend.Backend](b B, err error) (backend.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// shorten keeps what is no scheme at all, and may be a secret, off the screen.
func shorten(scheme string) string {
	if len(scheme) > 20 || strings.ContainsAny(scheme, "/@") {
		return "(no scheme)"
	}
	return scheme
}
