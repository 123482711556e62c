package redisx

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	defaultDialTimeout = 5 * time.Second
	defaultTimeout     = 10 * time.Second
	defaultPoolSize    = 16
	keepAlive          = 30 * time.Second
)

// WithDefaults returns o with empty fields filled in.
func (o Options) WithDefaults() Options {
	if o.Network == "" {
		o.Network = "tcp"
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = defaultDialTimeout
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.PoolSize == 0 {
		o.PoolSize = defaultPoolSize
	}
	return o
}

// Dial opens one connection, authenticated and with the database selected. It
// is for one goroutine, as redigo's are (one may send while another receives).
// A failure names the address and what to check, and IsConnection tells whether
// trying again later makes sense.
func (o Options) Dial(ctx context.Context) (redis.Conn, error) {
	o = o.WithDefaults()
	dialer := net.Dialer{Timeout: o.DialTimeout, KeepAlive: keepAlive}
	opts := []redis.DialOption{
		redis.DialContextFunc(dialer.DialContext),
		redis.DialReadTimeout(o.Timeout),
		redis.DialWriteTimeout(o.Timeout),
		redis.DialTLSHandshakeTimeout(o.DialTimeout),
		redis.DialUsername(o.Username),
		redis.DialPassword(o.Password),
		redis.DialDatabase(o.DB),
	}
	if o.TLS != nil {
		opts = append(opts, redis.DialUseTLS(true), redis.DialTLSConfig(o.TLS))
	}
	conn, err := redis.DialContext(ctx, o.Network, o.Addr, opts...)
	if err != nil {
		return nil, o.explain(err)
	}
	return conn, nil
}

// explain adds to a failed dial where it went and the next step.
func (o Options) explain(err error) error {
	switch {
	case IsReadOnly(err):
		return fmt.Errorf("redis at %s is not ready: %w", o.Addr, err)
	case IsConnection(err):
		return fmt.Errorf("cannot reach Redis at %s (is it running, and is the address right?): %w", o.Addr, err)
	case isAuth(err):
		return fmt.Errorf("redis at %s refuses the login (check user and password in the URL): %w", o.Addr, err)
	}
	return fmt.Errorf("connect to Redis at %s: %w", o.Addr, err)
}
