package amqp

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between a broker and RabbitMQ, to be cut.
type proxy struct {
	url  string
	wait sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	down  bool
}

// newProxy returns a proxy for the RabbitMQ at this URL.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newProxyOn(t, l, target)
}

func newProxyOn(t *testing.T, l net.Listener, target string) *proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p, to := &proxy{}, u.Host
	u.Host = l.Addr().String()
	p.url = u.String()
	p.wait.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(in, to)
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) serve(in net.Conn, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		in.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, in, out)
	if p.down {
		in.Close()
		out.Close()
	}
	p.mu.Unlock()
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		p.wait.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			pair[0].Close()
		})
	}
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// setDown makes new connections break at once, too.
func (p *proxy) setDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	p.cut()
}
