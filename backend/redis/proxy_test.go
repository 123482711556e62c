package redis_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/umbel-go/umbel/backend/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// proxy stands before a server and can let connections hang.
type proxy struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	frozen map[net.Conn]chan struct{}
}

// startProxy returns a proxy and the URL through it.
func startProxy(t *testing.T, url string) (*proxy, string) {
	t.Helper()
	host, db, _ := strings.Cut(strings.TrimPrefix(url, "redis://"), "/")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: host, frozen: map[net.Conn]chan struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p, "redis://" + l.Addr().String() + "/" + db
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.frozen[client] = make(chan struct{})
		hang := p.frozen[client]
		p.mu.Unlock()
		p.running.Go(func() { io.Copy(server, client); server.Close() })
		p.running.Go(func() { p.answer(client, server, hang) })
	}
}

// answer hands on what the server says until the connection hangs.
func (p *proxy) answer(client, server net.Conn, hang <-chan struct{}) {
	defer client.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-hang: // what is read is lost
			continue
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// freeze lets all present connections take what is sent and say nothing more.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, hang := range p.frozen {
		close(hang)
	}
	clear(p.frozen)
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// The connection for pushes hangs without an error, as behind a firewall that
// has forgotten it.
func TestWatchSurvivesAHungConnection(t *testing.T) {
	t.Parallel()
	url := testenv.Redis(t)
	p, through := startProxy(t, url)
	writer, reader := open(t, redis.Config{URL: url}), open(t, redis.Config{URL: through, PollInterval: 50 * time.Millisecond})
	w := watching(t, reader, "hung")
	put(t, writer, result("hung", protocol.StateStarted, "1"))
	until(t, w, "1")
	p.freeze()
	put(t, writer, result("hung", protocol.StateSuccess, "2"))
	until(t, w, "2") // within the 20 s that until waits
}
