package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// endpoints are the addresses of one broker. All links go to the current one, and
// the first to fail there moves on to the next.
type endpoints struct {
	all   []*endpoint
	index atomic.Int32
}

// parseURLs reads the URLs of a checked configuration.
func parseURLs(cfg Config) (*endpoints, error) {
	es := &endpoints{}
	for text := range strings.SplitSeq(cfg.URL, ";") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		e, err := parseURL(text, cfg)
		if err != nil {
			return nil, err
		}
		es.all = append(es.all, e)
	}
	if len(es.all) == 0 {
		return nil, errBadURL
	}
	return es, nil
}

func (es *endpoints) current() *endpoint { return es.all[es.index.Load()] }

// dial connects to the current endpoint or, when it fails, to the first of the
// others that answers.
func (es *endpoints) dial(ctx context.Context, name string) (*amqp091.Connection, *endpoint, error) {
	var errs []error
	first := es.index.Load()
	for i := range es.all {
		index := (int(first) + i) % len(es.all)
		e := es.all[index]
		conn, err := e.dial(ctx, name)
		if err == nil {
			if former := es.index.Swap(int32(index)); int(former) != index {
				slog.WarnContext(ctx, "RabbitMQ failed over", "from", es.all[former].address(), "to", e.address())
			}
			return conn, e, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(es.all) == 1 {
		return nil, nil, errs[0]
	}
	return nil, nil, fmt.Errorf("none of the %d RabbitMQ addresses could be reached: %w", len(es.all), errors.Join(errs...))
}
