package redisx

import (
	"context"
	"errors"
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
	if o.servers == nil {
		o.servers = newServers(o)
	}
	return o
}

// Dial opens one connection to the server in use, authenticated, with the
// database selected, and answering. It is for one goroutine, as redigo's are
// (one may send while another receives, and Close may be called by any). A
// server of a list that cannot be reached or takes no writes is left for the
// next, and each is tried once. A failure names the address and what to check,
// and IsConnection tells whether trying again later makes sense.
//
// An answer that IsReadOnly matches makes all connections of these Options break
// and the next ones go to the next server of the list.
func (o Options) Dial(ctx context.Context) (redis.Conn, error) {
	o = o.WithDefaults()
	var failed error
	for range o.servers.list {
		server, term := o.servers.current()
		fresh, err := o.on(server).connect(ctx)
		if err == nil {
			c := &conn{fullConn: fresh, servers: o.servers, term: term}
			if o.servers.admit(c) {
				return c, nil
			}
			c.abort()
			failed = errors.Join(failed, fmt.Errorf("connect to Redis at %s: %w", server.Addr, errLeft))
			continue
		}
		failed = errors.Join(failed, o.on(server).explain(err))
		if ctx.Err() != nil {
			break
		}
		if IsReadOnly(err) || IsConnection(err) && len(o.servers.list) > 1 {
			o.servers.leave(term)
		}
	}
	return nil, failed
}

// errLeft is about a connection that was dialled while others found its server
// unfit; it matches IsConnection.
var errLeft = fmt.Errorf("the server was left while connecting: %w", net.ErrClosed)

// on returns o with the address and login of one server of its list.
func (o Options) on(server Options) Options {
	if len(o.servers.list) > 1 {
		o.Network, o.Addr, o.TLS = server.Network, server.Addr, server.TLS
		o.Username, o.Password = server.Username, server.Password
	}
	return o
}

// Current returns o with the address and login of the server in use; without a
// list that is o.
func (o Options) Current() Options {
	o = o.WithDefaults()
	server, _ := o.servers.current()
	return o.on(server)
}

// connect is bounded by DialTimeout and ctx as a whole.
func (o Options) connect(caller context.Context) (fullConn, error) {
	ctx, cancel := context.WithTimeout(caller, o.DialTimeout)
	defer cancel()
	stop := func() bool { return true }
	dialer := net.Dialer{KeepAlive: keepAlive}
	opts := []redis.DialOption{
		redis.DialContextFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
			raw, err := dialer.DialContext(ctx, network, addr)
			if err == nil {
				stop = context.AfterFunc(ctx, func() { raw.Close() })
			}
			return raw, err
		}),
		redis.DialReadTimeout(o.Timeout),
		redis.DialWriteTimeout(o.Timeout),
		redis.DialUsername(o.Username),
		redis.DialPassword(o.Password),
		redis.DialDatabase(o.DB),
	}
	if o.TLS != nil {
		opts = append(opts, redis.DialUseTLS(true), redis.DialTLSConfig(o.TLS))
	}
	c, err := redis.DialContext(ctx, o.Network, o.Addr, opts...)
	if err == nil {
		_, err = c.Do("PING")
	}
	if !stop() && err == nil { // the socket is being closed, if not just yet
		err = ctx.Err()
	}
	if err != nil && caller.Err() != nil {
		err = fmt.Errorf("%w: %w", caller.Err(), err)
	} else if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer within %v: %w", o.DialTimeout, err)
	}
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, err
	}
	return c.(fullConn), nil
}

// explain adds to a failed dial where it went and the next step.
func (o Options) explain(err error) error {
	switch {
	case IsReadOnly(err):
		return fmt.Errorf("redis at %s is not ready: %w", o.Addr, err)
	case isCertificate(err):
		return fmt.Errorf("redis at %s shows a certificate that is not trusted (set ssl_ca_certs in the URL, or check the host name): %w", o.Addr, err)
	case IsConnection(err):
		return fmt.Errorf("cannot reach Redis at %s (is it running, and is the address right?): %w", o.Addr, err)
	case isAuth(err):
		return fmt.Errorf("redis at %s refuses the login (check user and password in the URL): %w", o.Addr, err)
	case isPermission(err):
		return fmt.Errorf("redis at %s lacks a permission (ACL) for this user: %w", o.Addr, err)
	}
	return fmt.Errorf("connect to Redis at %s: %w", o.Addr, err)
}
