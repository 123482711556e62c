package amqp

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

const patience = 20 * time.Second

func newBroker(t *testing.T, url string) *Broker {
	t.Helper()
	b, err := New(Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func newConsumer(t *testing.T, b *Broker, prefetch int, queues ...string) broker.Consumer {
	t.Helper()
	opts := broker.ConsumeOptions{Prefetch: prefetch}
	for _, q := range queues {
		opts.Queues = append(opts.Queues, broker.Queue{Name: q})
	}
	c, err := b.Consume(within(t, patience), opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, b *Broker, queue string, ids ...string) {
	t.Helper()
	var msgs []broker.Publishing
	for _, id := range ids {
		m := protocol.NewMessage(protocol.Object{{Name: "id", Value: id}}, []byte(id))
		m.Properties.CorrelationID = id
		msgs = append(msgs, broker.Publishing{RoutingKey: queue, Message: m, Mandatory: true})
	}
	if err := b.Publish(within(t, patience), msgs...); err != nil {
		t.Fatal(err)
	}
}

// claimOne passes over errors about the connection, as a worker does.
func claimOne(t *testing.T, c broker.Consumer) broker.Delivery {
	t.Helper()
	ctx := within(t, patience)
	for {
		ds, err := c.Claim(ctx, 1)
		if err == nil {
			return ds[0]
		}
		if !errors.Is(err, broker.ErrConnection) {
			t.Fatal(err)
		}
	}
}

func body(d broker.Delivery) string { return string(d.Message().Body) }

func ready(t *testing.T, b *Broker, queue string) int {
	t.Helper()
	infos, err := b.Queues(within(t, patience), queue)
	if err != nil {
		t.Fatal(err)
	}
	return infos[0].Ready
}

func eventuallyReady(t *testing.T, b *Broker, queue string, want int) {
	t.Helper()
	testenv.Eventually(t, patience, func() error {
		if n := ready(t, b, queue); n != want {
			return fmt.Errorf("%d messages ready in %s, want %d", n, queue, want)
		}
		return nil
	})
}

func TestCloseEndsEverything(t *testing.T) {
	url := testenv.AMQP(t)
	before := goleak.IgnoreCurrent()
	b, err := New(Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	c := newConsumer(t, b, 4, "q", "other")
	send(t, b, "q", "claimed", "held", "waiting")
	if _, err := c.Claim(within(t, patience), 1); err != nil {
		t.Fatal(err)
	}
	if err := claimOne(t, c).Park(t.Context(), time.Now().Add(900*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	subscribe(t, b, broker.SubscribeOptions{Exchange: "celeryev", Kind: broker.Topic, RoutingKey: "#", Queue: "events", DurableExchange: true})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
	if err := b.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestConnectionLost(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, testenv.AMQP(t))
	b := newBroker(t, p.URL)
	c := newConsumer(t, b, 2, "q", "other")
	send(t, b, "q", "a", "b", "c")
	held := claimOne(t, c)
	p.Cut()
	select {
	case <-held.Lost():
	case <-time.After(patience):
		t.Fatal("the delivery was not reported lost")
	}
	if _, err := c.Claim(within(t, patience), 1); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("claim: %v, want ErrConnection", err)
	}
	if err := held.Ack(t.Context()); !errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("ack: %v, want ErrClaimLost", err)
	}
	seen := map[string]bool{}
	for len(seen) < 3 {
		d := claimOne(t, c)
		if seen[body(d)] = true; !d.Redelivered() && body(d) == body(held) {
			t.Errorf("%s is not marked as redelivered", body(d))
		}
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send(t, b, "q", "d")
	if d := claimOne(t, c); body(d) != "d" {
		t.Errorf("got %s, want d", body(d))
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, testenv.AMQP(t))
	b := newBroker(t, p.URL)
	c := newConsumer(t, b, 1, "q")
	p.SetDown(true)
	for range 3 {
		if _, err := c.Claim(within(t, patience), 1); !errors.Is(err, broker.ErrConnection) {
			t.Errorf("claim: %v, want ErrConnection", err)
		}
	}
	err := b.Publish(within(t, patience), broker.Publishing{RoutingKey: "q", Message: protocol.NewMessage(nil, nil)})
	if !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), b.endpoints.current().address()) {
		t.Errorf("publish: %v, want ErrConnection and the address", err)
	}
	p.SetDown(false)
	send(t, b, "q", "a")
	if d := claimOne(t, c); body(d) != "a" {
		t.Errorf("got %s", body(d))
	}
}

func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	for what, bad := range map[string]string{
		"virtual host": url + "-unknown",
		"password":     strings.Replace(url, "guest:guest", "guest:secret", 1),
	} {
		_, err := newBroker(t, bad).Queues(within(t, patience), "q")
		if !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want ErrConnection and advice", what, err)
		}
	}
}

// TestTLS has a proxy end the TLS connection.
func TestTLS(t *testing.T) {
	t.Parallel()
	target := testenv.AMQP(t)
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	secure := "amqps" + strings.TrimPrefix(testenv.NewProxyOn(t, l, target).URL, "amqp")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, secure+"?cacertfile="+ca)
	c := newConsumer(t, b, 1, "q")
	send(t, b, "q", "a")
	if d := claimOne(t, c); body(d) != "a" {
		t.Errorf("got %s", body(d))
	}
	_, err = newBroker(t, secure).Queues(within(t, patience), "q")
	if !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown certificate: %v, want ErrConnection and advice", err)
	}
}

func TestQueueDeleted(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := newConsumer(t, b, 1, "q")
	s, err := b.publishing.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.try(func(ch *amqp091.Channel) error {
		_, err := ch.QueueDelete("q", false, false, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Claim(within(t, patience), 1); !errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("claim: %v, want ErrConnection and the reason", err)
	}
	claimed := make(chan broker.Delivery)
	go func() { claimed <- claimOne(t, c) }()
	testenv.Eventually(t, patience, func() error {
		infos, err := b.Queues(t.Context(), "q")
		if err == nil && infos[0].Consumers != 1 {
			err = errors.New("the queue is not consumed again")
		}
		return err
	})
	send(t, b, "q", "a")
	if d := <-claimed; body(d) != "a" {
		t.Errorf("got %s", body(d))
	}
}

func TestQueueOfOthersStaysAsItIs(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	err := b.Declare(t.Context(), broker.Queue{Name: "q", Args: map[string]any{"x-max-priority": 7, "x-queue-mode": "lazy"}})
	if err != nil {
		t.Fatal(err)
	}
	c := newConsumer(t, b, 1, "q")
	send(t, b, "q", "a")
	if d := claimOne(t, c); body(d) != "a" {
		t.Errorf("got %s", body(d))
	}
}

func TestQueueHeldByAnother(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	holder, second := newBroker(t, url), newBroker(t, url)
	opts := broker.SubscribeOptions{Exchange: protocol.ControlExchange, Kind: broker.Fanout, Queue: protocol.ControlQueue("w@h")}
	sub, err := holder.Subscribe(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1000)
	second.now = func() time.Time { asked <- struct{}{}; return time.Now() }
	done := make(chan error, 1)
	go func() {
		_, err := second.Subscribe(t.Context(), opts)
		done <- err
	}()
	<-asked
	<-asked // the first attempt failed
	if err := sub.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatalf("subscribe once the queue is free: %v", err)
	}

	third := newBroker(t, url)
	var later atomic.Int64
	third.now = func() time.Time { return time.Now().Add(time.Duration(later.Add(int64(time.Hour)))) }
	_, err = third.Subscribe(t.Context(), opts)
	if err == nil || errors.Is(err, broker.ErrConnection) || !strings.Contains(err.Error(), "w@h.celery.pidbox") || !strings.Contains(err.Error(), "node name") {
		t.Errorf("subscribe to a held queue: %v, want an error that names the clash", err)
	}
}

func TestUnroutableInLargeBatch(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	if err := b.Declare(t.Context(), broker.Queue{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	msgs := make([]broker.Publishing, 3*confirmWindow)
	for i := range msgs {
		msgs[i] = broker.Publishing{RoutingKey: "q", Message: protocol.NewMessage(nil, nil), Mandatory: true}
	}
	msgs[7].RoutingKey, msgs[400].RoutingKey = "nowhere", "nowhere"
	if err := b.Publish(within(t, patience), msgs...); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("publish: %v, want ErrNoQueue", err)
	}
	eventuallyReady(t, b, "q", len(msgs)-2)
}

func TestExchangeDeleted(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	p := broker.Publishing{Exchange: "ex", Message: protocol.NewMessage(nil, nil)}
	if err := b.Publish(within(t, patience), p); err != nil {
		t.Fatal(err)
	}
	s, err := b.publishing.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.try(func(ch *amqp091.Channel) error { return ch.ExchangeDelete("ex", false, false) }); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(within(t, patience), p); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("publish to an exchange that is gone: %v, want ErrConnection", err)
	}
	if err := b.Publish(within(t, patience), p); err != nil {
		t.Errorf("next publish: %v", err)
	}
}
