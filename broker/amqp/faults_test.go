package amqp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/internal/testenv"
	"github.com/umbel-go/umbel/protocol"
)

// TestFaults breaks a RabbitMQ of its own in the ways that need one.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := testenv.RabbitMQServer(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *testenv.Server)
	}{
		{"ConsumerTimeout", consumerTimeout},
		{"MemoryAlarm", memoryAlarm},
		{"ConnectionsKilled", connectionsKilled},
		{"Frozen", frozen},
		{"ClientCertificates", clientCertificates},
		{"VirtualHost", virtualHost},
		{"Restart", restart},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, server) })
	}
}

// consumerTimeout has one queue's delivery run into RabbitMQ's limit; the other
// queue does not notice.
func consumerTimeout(t *testing.T, server *testenv.Server) {
	server.Ctl("eval", "application:set_env(rabbit, consumer_timeout, 1000), application:set_env(rabbit, channel_tick_interval, 200).")
	defer server.Ctl("eval", "application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000).")
	b := newBroker(t, server.URL)
	// A mailbox has no limit: what was read from it is done.
	mailbox := subscribe(t, b, broker.SubscribeOptions{Queue: "mailbox"})
	for _, id := range []string{"1", "2"} {
		send(t, b, "mailbox", id)
		if _, err := mailbox.Next(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := mailbox.Next(within(t, 10*time.Millisecond)); err == nil {
		t.Fatalf("got %s", m.Body)
	}
	c := newConsumer(t, b, 2, "slow", "quick")
	send(t, b, "slow", "stuck")
	stuck := claimOne(t, c)
	var failure error
	for i := 0; failure == nil; i++ {
		send(t, b, "quick", fmt.Sprint(i))
		ds, err := c.Claim(within(t, patience), 1)
		if failure = err; err != nil {
			break
		}
		select {
		case <-ds[0].Lost():
			t.Fatal("the channel of the other queue was lost")
		case <-time.After(20 * time.Millisecond):
		}
		if err := ds[0].Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(failure, broker.ErrConnection) || !strings.Contains(failure.Error(), "queue slow") || !strings.Contains(failure.Error(), "consumer_timeout") {
		t.Errorf("claim: %v, want the queue and advice", failure)
	}
	<-stuck.Lost()
	if err := stuck.Ack(t.Context()); !errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("ack: %v, want ErrClaimLost", err)
	}
	for {
		d := claimOne(t, c)
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		if body(d) == "stuck" {
			break
		}
	}
	send(t, b, "mailbox", "3")
	if m, err := mailbox.Next(within(t, patience)); err != nil || string(m.Body) != "3" {
		t.Errorf("the mailbox: %v", err)
	}
}

// memoryAlarm has RabbitMQ refuse messages: publishing waits and says why,
// everything else goes on.
func memoryAlarm(t *testing.T, server *testenv.Server) {
	b := newBroker(t, server.URL)
	c := newConsumer(t, b, 2, "q")
	send(t, b, "q", "a", "b")
	server.Ctl("set_vm_memory_high_watermark", "0.00001")
	message := broker.Publishing{RoutingKey: "q", Message: protocol.NewMessage(nil, []byte("c"))}
	for range 2 { // the first finds the connection not yet blocked
		err := b.Publish(within(t, 500*time.Millisecond), message)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "takes no messages now (low on memory)") {
			t.Errorf("publish: %v, want the reason", err)
		}
	}
	if err := claimOne(t, c).Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if err := claimOne(t, c).Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.Queues(within(t, 2*time.Second), "q"); err != nil {
		t.Error(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- b.Publish(within(t, patience), message) }()
	server.Ctl("set_vm_memory_high_watermark", "0.6")
	if err := <-waiting; err != nil {
		t.Errorf("publish after the alarm: %v", err)
	}
	if d := claimOne(t, c); body(d) != "c" {
		t.Errorf("got %s", body(d))
	}
}

func connectionsKilled(t *testing.T, server *testenv.Server) {
	b := newBroker(t, server.URL)
	c := newConsumer(t, b, 2, "killed")
	send(t, b, "killed", "a")
	d := claimOne(t, c)
	server.Ctl("close_all_connections", "maintenance")
	<-d.Lost()
	if again := claimOne(t, c); body(again) != "a" || !again.Redelivered() {
		t.Errorf("got %s", body(again))
	}
	send(t, b, "killed", "b")
}

// virtualHost has a name of characters that are reserved in URLs.
func virtualHost(t *testing.T, server *testenv.Server) {
	const name = "/shop #1 50%?é;"
	server.Ctl("add_vhost", name)
	server.Ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
	b := newBroker(t, server.URL+"/"+url.PathEscape(name))
	c := newConsumer(t, b, 1, "q")
	send(t, b, "q", "a")
	if d := claimOne(t, c); body(d) != "a" || b.Info().VirtualHost != name {
		t.Errorf("got %s in %s", body(d), b.Info().VirtualHost)
	}
	// The URL without password, as we show it, leads to the same place.
	if shown := newBroker(t, b.Info().URL).Info(); shown.VirtualHost != name {
		t.Errorf("%s leads to %s", shown.URL, shown.VirtualHost)
	}
}

// frozen has RabbitMQ fall silent with all connections open.
func frozen(t *testing.T, server *testenv.Server) {
	b := newBroker(t, server.URL+"?heartbeat=1")
	c := newConsumer(t, b, 1, "frozen")
	send(t, b, "frozen", "a")
	d := claimOne(t, c)
	server.Pause()
	defer server.Resume()
	began := time.Now()
	<-d.Lost()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("noticed after %v", took)
	}
	if _, err := c.Claim(within(t, patience), 1); !errors.Is(err, broker.ErrConnection) {
		t.Errorf("claim: %v, want ErrConnection", err)
	}
	server.Resume()
	if again := claimOne(t, c); body(again) != "a" {
		t.Errorf("got %s", body(again))
	}
}

// restart keeps durable queues and messages, and what is parked.
func restart(t *testing.T, server *testenv.Server) {
	b := newBroker(t, server.URL)
	c := newConsumer(t, b, 1, "kept")
	send(t, b, "kept", "parked", "waiting")
	until := time.Now().Add(2 * time.Second)
	if err := claimOne(t, c).Park(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	seen := map[string]int{}
	ctx := within(t, patience)
	for len(seen) < 2 {
		ds, err := c.Claim(ctx, 1)
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			seen[body(d)]++
			if err := d.Ack(ctx); err != nil {
				t.Error(err)
			}
		}
	}
	if seen["parked"] != 1 || seen["waiting"] != 1 || time.Now().Before(until) {
		t.Errorf("got %v", seen)
	}
}
