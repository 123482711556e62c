package redis

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
)

// minWriterTimeout is the least time that the server has to answer a settlement
// or a heartbeat. Otherwise it is half a lease, so that a half-open connection
// is replaced before the claims are lost with it.
const minWriterTimeout = time.Second

// writer is a connection that is dialled when needed and dropped when broken.
type writer struct{ conn redis.Conn }

func (w *writer) open(ctx context.Context, b *Broker) (redis.Conn, error) {
	if w.conn != nil {
		return w.conn, nil
	}
	if ctx.Err() != nil {
		return nil, broker.ErrClosed
	}
	opts := b.opts
	opts.Timeout = min(opts.Timeout, max(b.cfg.Lease/2, minWriterTimeout))
	conn, err := opts.Dial(ctx)
	if err != nil {
		return nil, wrap("settle", err)
	}
	w.conn = conn
	return conn, nil
}

// check drops a broken connection.
func (w *writer) check() {
	if w.conn != nil && w.conn.Err() != nil {
		w.drop()
	}
}

func (w *writer) drop() {
	if w.conn == nil {
		return
	}
	if err := w.conn.Close(); err != nil {
		slog.Debug("close connection", "error", fmt.Errorf("redis: %w", err))
	}
	w.conn = nil
}
