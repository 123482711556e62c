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

// Open is OpenOptions without options.
func Open(url string, b broker.Broker) (backend.Backend, error) { return OpenOptions(url, b, nil) }

// OpenOptions returns the backend that the URL names; it does not connect. b
// carries the results of rpc:// and may be nil for others. Errors show no password.
//
//	redis://, rediss://, redis+socket://  Redis
//	sentinel://, sentinel+rediss://       an error: not supported yet
//	rpc://                                messages over b
//	disabled:// or ""                     ErrDisabled
//
// The options are Celery's settings by their names:
//
//	result_expires          seconds, a duration ("24h") or time.Duration; 0 and nil for ever
//	result_failure_expires  the same for failures; nil means result_expires
//	result_chord_expires    the same for unfinished chords; nil means result_expires
//	result_compression      zlib, zstd, brotli, lzma; nil means none
//	result_serializer       json (the default), msgpack or yaml
//	result_persistent       true: results of rpc:// survive a restart of RabbitMQ
//	result_chord_ordered    false: chord results in the order of completion
//	result_backend_transport_options.global_keyprefix
//	                        also as a map under result_backend_transport_options
//
// Those that a backend has no use for have no effect, as in Celery. An unknown
// name or a value that does not fit is an error naming it, and matches ErrOption.
func OpenOptions(url string, b broker.Broker, options map[string]any) (backend.Backend, error) {
	s, err := parse(options)
	if err != nil {
		return nil, err
	}
	scheme, _, _ := strings.Cut(url, ":")
	switch scheme {
	case "redis", "rediss", "redis+socket", "sentinel", "sentinel+rediss":
		return opened(redis.New(redis.Config{
			URL: url, KeyPrefix: s.keyPrefix, Expires: s.expires, FailureExpires: s.failureExpires, ChordExpires: s.chordExpires,
			UnorderedChords: s.unorderedChords, Compression: s.compression, Serializer: s.serializer,
		}))
	case "rpc":
		if b == nil {
			return nil, errors.New("result backend rpc:// needs a broker to send results over")
		}
		return rpc.New(rpc.Config{Broker: b, Expires: s.expires, Persistent: s.persistent, Serializer: s.serializer}), nil
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
