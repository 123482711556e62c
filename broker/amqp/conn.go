package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
)

const (
	// writeTimeout ends a connection whose peer takes nothing any more.
	writeTimeout = 30 * time.Second
	closeTimeout = 5 * time.Second
	frameMax     = 131072 // as py-amqp asks for
)

// link is one connection that is dialled when it is needed. Publishing,
// consuming and subscribing have one each: RabbitMQ stops reading from a
// connection that publishes while it is short of memory or disk, and
// acknowledgements and remote control must not stop with it.
type link struct {
	endpoints *endpoints
	name      string
	// life ends with close, and every dialling with it.
	life context.Context
	end  context.CancelCauseFunc

	turn   chan struct{} // held while dialed is read, written or dialled
	dialed *session
	follow sync.WaitGroup
}

func newLink(es *endpoints, name string) *link {
	l := &link{endpoints: es, name: name, turn: make(chan struct{}, 1)}
	l.life, l.end = context.WithCancelCause(context.Background())
	return l
}

// session is one life of a connection. What was declared over it is remembered
// for as long: a server that restarts may have forgotten it.
type session struct {
	*amqp091.Connection
	where string

	mu       sync.Mutex
	declared map[string]bool
	buckets  map[string]time.Time // declared delay queues and their ends
	blocked  *blockage            // nil while RabbitMQ takes messages
}

// session returns the live connection or dials.
func (l *link) session(ctx context.Context) (*session, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if l.life.Err() != nil {
		return nil, broker.ErrClosed
	}
	if l.dialed != nil && !l.dialed.IsClosed() {
		return l.dialed, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(l.life, cancel)
	defer stop()
	conn, at, err := l.endpoints.dial(ctx, l.name)
	if err != nil && l.life.Err() != nil {
		return nil, broker.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	s := &session{Connection: conn, where: at.address(), declared: map[string]bool{}, buckets: map[string]time.Time{}}
	blocking := conn.NotifyBlocked(make(chan amqp091.Blocking, 1))
	l.follow.Go(func() { s.followBlocking(blocking) })
	l.dialed = s
	return s, nil
}

// dial connects and logs in. name is for RabbitMQ's list of connections.
func (e *endpoint) dial(ctx context.Context, name string) (*amqp091.Connection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("no answer within %v", e.timeout))
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.address())
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ at %s: %w: %w; check that it runs and that host and port of the broker URL are right", e.address(), broker.ErrConnection, err)
	}
	// The library knows no context: closing the socket ends the handshake.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if e.tls != nil {
		secure := tls.Client(conn, e.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS with RabbitMQ at %s: %w: %w; check the certificates, and that this port speaks TLS", e.address(), broker.ErrConnection, err)
		}
		conn = secure
	}
	properties := amqp091.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	opened, err := amqp091.Open(newFilterConn(&timedConn{conn}), amqp091.Config{
		SASL:       []amqp091.Authentication{e.authentication()},
		Vhost:      e.vhost,
		Heartbeat:  e.heartbeat,
		FrameSize:  frameMax,
		Locale:     "en_US",
		Properties: properties,
	})
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, e.explain(err)
	}
	return opened, nil
}

func (e *endpoint) authentication() amqp091.Authentication {
	if e.login == loginExternal {
		return &amqp091.ExternalAuth{}
	}
	return &amqp091.PlainAuth{Username: e.user, Password: e.password}
}

// explain says what to do about a refused handshake.
func (e *endpoint) explain(err error) error {
	advice := "check that this is the AMQP port (not the management port) and whether it asks for TLS (amqps://)"
	if e.tls != nil {
		advice = "check that this is the AMQP port, and whether RabbitMQ asks for a client certificate (certfile and keyfile in the broker URL)"
	}
	var refused *amqp091.Error
	if errors.As(err, &refused) {
		switch {
		case refused.Code == amqp091.NotAllowed || errors.Is(err, amqp091.ErrVhost):
			advice = fmt.Sprintf("check that virtual host %q exists and that user %q may use it (rabbitmqctl list_permissions -p %s)", e.vhost, e.user, e.vhost)
		case refused.Code == amqp091.AccessRefused:
			advice = fmt.Sprintf("check user %q and its password in the broker URL; guest may log in from RabbitMQ's own machine only", e.user)
		}
	}
	return fmt.Errorf("log in to RabbitMQ at %s: %w: %w; %s", e.address(), broker.ErrConnection, err, advice)
}

// close ends the connection and everything on it.
func (l *link) close() error {
	l.end(broker.ErrClosed)
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	var err error
	if l.dialed != nil {
		err = l.dialed.CloseDeadline(time.Now().Add(closeTimeout))
	}
	l.follow.Wait()
	if err != nil && !errors.Is(err, amqp091.ErrClosed) {
		return fmt.Errorf("close the connection to RabbitMQ at %s: %w", l.dialed.where, err)
	}
	return nil
}

// channel opens a channel.
func (s *session) channel() (*amqp091.Channel, error) {
	ch, err := s.Channel()
	if err != nil {
		return nil, s.failed("open a channel", err)
	}
	return ch, nil
}

// failed wraps the error of an operation: as broker.ErrConnection unless the
// server refused it for a reason that will not pass by itself.
func (s *session) failed(doing string, err error) error {
	var e *amqp091.Error
	if errors.As(err, &e) && e.Server && !s.IsClosed() {
		switch e.Code {
		case amqp091.AccessRefused, amqp091.PreconditionFailed, amqp091.ResourceLocked, amqp091.NotFound, amqp091.NotAllowed:
			return fmt.Errorf("%s on RabbitMQ at %s: %w", doing, s.where, err)
		}
	}
	return fmt.Errorf("%s on RabbitMQ at %s: %w: %w", doing, s.where, broker.ErrConnection, err)
}

// once runs declare unless it has succeeded on this connection under this key.
func (s *session) once(key string, declare func() error) error {
	s.mu.Lock()
	done := s.declared[key]
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := declare(); err != nil {
		return err
	}
	s.mu.Lock()
	s.declared[key] = true
	s.mu.Unlock()
	return nil
}

// forgetDeclared makes the next use of every exchange and queue declare it anew.
func (s *session) forgetDeclared() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.declared)
	clear(s.buckets)
}

// timedConn bounds every write, since the library writes while it holds a lock
// that heartbeats need.
type timedConn struct{ net.Conn }

// Write implements net.Conn.
func (c *timedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
