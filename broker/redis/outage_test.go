package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/broker/redis"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// resumeWithin is how soon messages must flow again.
const resumeWithin = 20 * time.Second

// claimThrough is how a worker claims: after an outage it tries again.
func claimThrough(t *testing.T, c broker.Consumer, limit time.Duration) broker.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var retry broker.Backoff
	for {
		ds, err := c.Claim(ctx, 1)
		if err == nil {
			return ds[0]
		}
		if !errors.Is(err, broker.ErrConnection) && !errors.Is(err, broker.ErrReadOnly) || !retry.Wait(ctx) {
			t.Fatalf("claim: %v", err)
		}
	}
}

// putThrough publishes until it succeeds.
func putThrough(t *testing.T, b broker.Broker, id string) {
	t.Helper()
	testenv.Eventually(t, resumeWithin, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		m := protocol.NewMessage(protocol.Object{{Name: "id", Value: id}}, []byte("[]"))
		return b.Publish(ctx, broker.Publishing{RoutingKey: "celery", Message: m})
	})
}

// ackThrough acknowledges until the server answers.
func ackThrough(t *testing.T, d broker.Delivery) {
	t.Helper()
	testenv.Eventually(t, resumeWithin, func() error { return d.Ack(t.Context()) })
}

// proxy stands between a driver and Redis. In the dark it swallows what the
// connections open then send, for ever: their ends are never told.
type proxy struct {
	url   string
	dark  atomic.Pointer[chan struct{}] // closed: the connections that know it are dead
	conns sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p, to := &proxy{}, u.Host
	p.blackout()
	u.Host = l.Addr().String()
	p.url = u.String()
	p.conns.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			t.Cleanup(func() { in.Close(); out.Close() })
			dead := *p.dark.Load()
			p.conns.Go(func() { forward(out, in, dead) })
			p.conns.Go(func() { forward(in, out, dead) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return p
}

// blackout ends the traffic of all connections without closing one.
func (p *proxy) blackout() {
	fresh := make(chan struct{})
	if former := p.dark.Swap(&fresh); former != nil {
		close(*former)
	}
}

func forward(to, from net.Conn, dead <-chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-dead:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			to.Close()
			return
		}
	}
}

// TestConsumptionResumes breaks what a waiting consumer stands on, in all the ways
// in which Celery workers are reported to stop consuming.
func TestConsumptionResumes(t *testing.T) {
	t.Parallel()
	for name, disrupt := range map[string]func(*testing.T, *testenv.Server, *proxy){
		"clients killed": func(t *testing.T, s *testenv.Server, _ *proxy) {
			do(t, s.URL, "CLIENT", "KILL", "TYPE", "normal")
		},
		"killed and restarted": func(_ *testing.T, s *testenv.Server, _ *proxy) { s.Kill(); s.Start() },
		"asleep":               func(t *testing.T, s *testenv.Server, _ *proxy) { do(t, s.URL, "DEBUG", "SLEEP", 2) },
		"network drop":         func(_ *testing.T, _ *testenv.Server, p *proxy) { p.blackout() },
		"demoted and promoted": func(t *testing.T, s *testenv.Server, _ *proxy) {
			do(t, s.URL, "REPLICAOF", "127.0.0.1", 1)
			do(t, s.URL, "REPLICAOF", "NO", "ONE")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testenv.RedisServer(t, "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes")
			p := newProxy(t, s.URL)
			consumers, producer := open(t, redis.Config{URL: p.url, Lease: 20 * time.Second}), open(t, redis.Config{URL: s.URL})
			defer consumers.Close()
			defer producer.Close()
			c := consumeCelery(t, consumers, 2)
			put(t, producer, "celery", 0, "held")
			held := claimOne(t, c, 5*time.Second)
			events := follow(t, consumers)
			got := make(chan broker.Delivery, 1)
			waiting := make(chan struct{})
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { close(waiting); got <- claimThrough(t, c, 2*resumeWithin) })
			<-waiting
			disrupt(t, s, p)
			putThrough(t, producer, "next")
			start := time.Now()
			d := <-got
			if took := time.Since(start); idOf(d) != "next" || d.Redelivered() || took > resumeWithin {
				t.Errorf("got %q, redelivered %v, after %v", idOf(d), d.Redelivered(), took)
			}
			ackThrough(t, held)
			ackThrough(t, d)
			testenv.Eventually(t, 2*resumeWithin, func() error { // the subscription too
				m := protocol.NewMessage(nil, []byte("{}"))
				if err := producer.Publish(t.Context(), broker.Publishing{Exchange: "celeryev", RoutingKey: "task.sent", Message: m}); err != nil {
					return err
				}
				select {
				case <-events:
					return nil
				case <-time.After(100 * time.Millisecond):
					return errors.New("no event arrives")
				}
			})
		})
	}
}

// follow passes on the events of a broker until the test ends.
func follow(t *testing.T, b broker.Broker) <-chan *protocol.Message {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events, up := make(chan *protocol.Message, 100), make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = broker.Follow(ctx, b, broker.SubscribeOptions{Exchange: "celeryev", Kind: broker.Topic, RoutingKey: "#", Queue: "celeryev.x", Expires: time.Minute},
			func(error) {
				select {
				case up <- struct{}{}:
				default:
				}
			},
			func(m *protocol.Message) {
				select {
				case events <- m:
				default:
				}
			})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-up
	return events
}

// TestFailover moves a consumer with what it holds and a subscription from a
// primary to its replica, which is promoted, and then to a third server by the
// death of the second.
func TestFailover(t *testing.T) {
	t.Parallel()
	first, second := testenv.RedisServer(t), testenv.RedisServer(t)
	firstURL, secondURL := first.URL, second.URL
	host := strings.Split(strings.TrimPrefix(firstURL, "redis://"), ":")
	do(t, secondURL, "REPLICAOF", host[0], host[1])
	testenv.Eventually(t, 20*time.Second, func() error {
		if info := string(do(t, firstURL, "INFO", "replication").([]byte)); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
	b := open(t, redis.Config{URL: firstURL + ";" + secondURL, Lease: 20 * time.Second})
	defer b.Close()
	events := follow(t, b)
	put(t, b, "celery", 0, "held")
	c := consumeCelery(t, b, 2)
	held := claimOne(t, c, 5*time.Second)
	if addr := b.Info().URL; !strings.Contains(addr, host[1]) {
		t.Fatalf("in use is %s, want the first", addr)
	}
	do(t, firstURL, "WAIT", 1, 5000)
	do(t, secondURL, "REPLICAOF", "NO", "ONE")
	do(t, firstURL, "REPLICAOF", strings.Split(strings.TrimPrefix(secondURL, "redis://"), ":")[0], strings.Split(secondURL, ":")[2])
	testenv.Eventually(t, resumeWithin, func() error {
		m := protocol.NewMessage(protocol.Object{{Name: "id", Value: "next"}}, []byte("[]"))
		err := b.Publish(t.Context(), broker.Publishing{RoutingKey: "celery", Message: m})
		if err != nil && !errors.Is(err, broker.ErrReadOnly) && !errors.Is(err, broker.ErrConnection) {
			t.Fatalf("publish: %v", err)
		}
		return err
	})
	if b.Info().URL != secondURL+"/0" {
		t.Fatalf("in use is %s, want the second, %s", b.Info().URL, secondURL)
	}
	next := claimThrough(t, c, resumeWithin)
	if idOf(next) != "next" {
		t.Errorf("got %s", idOf(next))
	}
	ackThrough(t, held)
	ackThrough(t, next)
	if n := do(t, secondURL, "HLEN", "unacked").(int64); n != 0 {
		t.Errorf("%d claims left on the second", n)
	}
	testenv.Eventually(t, resumeWithin, func() error {
		if err := b.Publish(t.Context(), broker.Publishing{Exchange: "celeryev", RoutingKey: "task.sent", Message: protocol.NewMessage(nil, []byte("{}"))}); err != nil {
			return err
		}
		select {
		case <-events:
			return nil
		case <-time.After(50 * time.Millisecond):
			return errors.New("the subscription did not follow")
		}
	})
	do(t, firstURL, "REPLICAOF", "NO", "ONE")
	second.Kill()
	putThrough(t, b, "third")
	if d := claimThrough(t, c, resumeWithin); idOf(d) != "third" || b.Info().URL != firstURL+"/0" {
		t.Errorf("got %s from %s, want the first server again", idOf(d), b.Info().URL)
	}
}

// TestDeadlineInterrupts asks a server that hangs.
func TestDeadlineInterrupts(t *testing.T) {
	t.Parallel()
	s := testenv.RedisServer(t)
	b := open(t, redis.Config{URL: s.URL, Lease: 3 * time.Second})
	defer b.Close()
	put(t, b, "celery", 0, "a")
	c := consumeCelery(t, b, 2)
	s.Pause()
	for name, call := range map[string]func(context.Context) error{
		"publish": func(ctx context.Context) error {
			return b.Publish(ctx, broker.Publishing{RoutingKey: "q", Message: protocol.NewMessage(nil, nil)})
		},
		"queues": func(ctx context.Context) error { _, err := b.Queues(ctx, "celery"); return err },
		"purge":  func(ctx context.Context) error { _, err := b.Purge(ctx, "other"); return err },
		"claim":  func(ctx context.Context) error { _, err := c.Claim(ctx, 1); return err },
		"dead":   func(ctx context.Context) error { _, err := b.ListDead(ctx, "celery", 1); return err },
		"subscribe": func(ctx context.Context) error {
			_, err := b.Subscribe(ctx, broker.SubscribeOptions{Exchange: "x", Kind: broker.Fanout, Queue: "x"})
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 4*time.Second {
			t.Errorf("%s: %v after %v, want the deadline soon", name, err, took)
		}
	}
	s.Resume()
	if d := claimThrough(t, c, resumeWithin); idOf(d) != "a" {
		t.Errorf("got %q", idOf(d))
	}
}

// TestClaimThatNobodyHeardOf gives up on a claim which the server then carries
// out: the message lies under a tag that no later claim may use again.
func TestClaimThatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	s := testenv.RedisServer(t)
	b := open(t, redis.Config{URL: s.URL, Lease: 3 * time.Second})
	defer b.Close()
	c := consumeCelery(t, b, 2)
	put(t, b, "celery", 0, "first")
	ackThrough(t, claimOne(t, c, 5*time.Second)) // the server knows the script now
	put(t, b, "celery", 0, "a")
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Claim(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("claim: %v, want the deadline", err)
	}
	s.Resume()
	testenv.Eventually(t, resumeWithin, func() error {
		if tags := texts(t, s.URL, "HKEYS", "unacked"); len(tags) != 1 {
			return fmt.Errorf("the server has the claims %q", tags)
		}
		return nil
	})
	put(t, b, "celery", 0, "b")
	first := claimThrough(t, c, resumeWithin)
	second := claimThrough(t, c, resumeWithin)
	if idOf(first) != "b" || idOf(second) != "a" || !second.Redelivered() {
		t.Errorf("got %q and %q", idOf(first), idOf(second))
	}
}
