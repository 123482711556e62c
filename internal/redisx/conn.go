package redisx

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

// abortGrace is how long a command under way may still take after the context
// that its connection was borrowed with has ended: most answers are nearly here,
// and what the answer would have said is lost with the connection.
const abortGrace = time.Second

// fullConn is what redigo's connections can do, and its pool looks for.
type fullConn interface {
	redis.ConnWithTimeout
	redis.ConnWithContext
}

// conn is a connection that leaves its server, with all others, when the server
// says that it takes no writes.
type conn struct {
	fullConn
	servers *servers
	term    int
	unbind  func() // from the context it was borrowed with; nil when it was not
}

func (c *conn) Do(name string, args ...any) (any, error) {
	if name == "" {
		c.release() // the pool's way to take a connection back
	}
	reply, err := c.fullConn.Do(name, args...)
	if name == "EXEC" {
		c.noteAll(reply)
	}
	return reply, c.note(err)
}

func (c *conn) DoWithTimeout(timeout time.Duration, name string, args ...any) (any, error) {
	reply, err := c.fullConn.DoWithTimeout(timeout, name, args...)
	return reply, c.note(err)
}

func (c *conn) Receive() (any, error) {
	reply, err := c.fullConn.Receive()
	return reply, c.note(err)
}

func (c *conn) ReceiveWithTimeout(timeout time.Duration) (any, error) {
	reply, err := c.fullConn.ReceiveWithTimeout(timeout)
	return reply, c.note(err)
}

func (c *conn) note(err error) error {
	if IsReadOnly(err) {
		c.servers.leave(c.term)
	}
	return err
}

// noteAll looks at the answers within a transaction's answer.
func (c *conn) noteAll(reply any) {
	answers, _ := reply.([]any)
	for _, a := range answers {
		if err, failed := a.(redis.Error); failed {
			_ = c.note(err)
		}
	}
}

// bind lets the end of ctx break the connection, after abortGrace, until
// release. Whichever comes first, the next borrower gets no connection that is
// about to break.
func (c *conn) bind(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	var over atomic.Bool
	released := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(abortGrace)
		defer t.Stop()
		select {
		case <-t.C:
			if over.CompareAndSwap(false, true) {
				c.abort()
			}
		case <-released:
		}
	})
	c.unbind = func() {
		stop()
		close(released)
		if !over.CompareAndSwap(false, true) {
			c.abort()
		}
	}
}

func (c *conn) release() {
	if c.unbind != nil {
		c.unbind()
		c.unbind = nil
	}
}

// abort breaks the connection under whoever uses it.
func (c *conn) abort() { _ = c.fullConn.Close() }

func (c *conn) Close() error {
	c.release()
	c.servers.forget(c)
	return c.fullConn.Close()
}
