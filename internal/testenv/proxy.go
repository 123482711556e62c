package testenv

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands between a client and a server, to be cut. It is safe for concurrent
// use.
type Proxy struct {
	// URL is the target's, with the proxy's address.
	URL  string
	wait sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	down  bool
}

// NewProxy returns a proxy for the server at this URL. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return NewProxyOn(t, l, target)
}

// NewProxyOn is NewProxy on a listener of the caller, such as one that speaks TLS.
func NewProxyOn(t testing.TB, l net.Listener, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p, to := &Proxy{}, u.Host
	u.Host = l.Addr().String()
	p.URL = u.String()
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
		p.Cut()
		p.wait.Wait()
	})
	return p
}

func (p *Proxy) serve(in net.Conn, to string) {
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

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// SetDown makes new connections break at once, too.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	p.Cut()
}
