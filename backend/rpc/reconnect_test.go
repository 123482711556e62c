package rpc_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/backend/rpc"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/amqp"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// proxy stands between a client and its broker, to be cut.
type proxy struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// through returns a proxy and the URL that leads through it.
func through(t *testing.T, target string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, server := &proxy{listener: l}, u.Host
	p.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.join(client, server)
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.running.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) join(client net.Conn, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	p.running.Go(func() { io.Copy(server, client); server.Close() })
	p.running.Go(func() { io.Copy(client, server); client.Close() })
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

// A client whose connection breaks while it waits is back in its queue, and gets
// what is sent from then on.
func TestResultAfterAReconnect(t *testing.T) {
	for name, open := range map[string]func(string) (broker.Broker, error){
		"amqp":  func(u string) (broker.Broker, error) { return amqp.New(amqp.Config{URL: u}) },
		"redis": func(u string) (broker.Broker, error) { return redis.New(redis.Config{URL: u}) },
	} {
		t.Run(name, func(t *testing.T) {
			target := map[string]func(testing.TB) string{"amqp": testenv.AMQP, "redis": testenv.Redis}[name](t)
			p, url := through(t, target)
			client, worker := newBackend(t, open, url), newBackend(t, open, target)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			w, err := client.Watch(ctx, "before", "after")
			if err != nil {
				t.Fatal(err)
			}
			send(ctx, t, worker, client.ReplyTo(), "before")
			next(ctx, t, w, "before")
			p.cut()
			// RabbitMQ deletes the queue with its last consumer, as Celery has it, so
			// what is sent before we are back is lost.
			arrived := make(chan struct{})
			var sending sync.WaitGroup
			sending.Go(func() {
				for {
					send(ctx, t, worker, client.ReplyTo(), "after")
					select {
					case <-arrived:
						return
					case <-ctx.Done():
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			})
			next(ctx, t, w, "after")
			close(arrived)
			sending.Wait()
		})
	}
}

func newBackend(t *testing.T, open func(string) (broker.Broker, error), url string) *rpc.Backend {
	t.Helper()
	b, err := open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	r := rpc.New(rpc.Config{Broker: b})
	t.Cleanup(func() { r.Close() })
	return r
}

func send(ctx context.Context, t *testing.T, b backend.Backend, replyTo, id string) {
	put := backend.Put{Result: &protocol.Result{TaskID: id, Status: protocol.StateSuccess}, ReplyTo: replyTo}
	if err := b.Put(ctx, put); err != nil {
		t.Errorf("send: %v", err)
	}
}

func next(ctx context.Context, t *testing.T, w backend.Watch, id string) {
	t.Helper()
	if r, err := w.Next(ctx); err != nil || r.TaskID != id {
		t.Fatalf("got %+v, %v; want %s", r, err, id)
	}
}
