// Package brokertest is the conformance suite of broker drivers: what it tests
// holds for every transport, and Features name the few places where transports
// differ.
package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// Features tell the suite what the driver under test does its own way.
type Features struct {
	// PushRaw puts an element that is no message onto a queue, behind the
	// driver's back. Nil skips the tests of malformed elements, on transports
	// whose framing allows none.
	PushRaw func(t testing.TB, queue string, element []byte)
	// DeadCount counts the messages in the queue's dead-letter place.
	DeadCount func(t testing.TB, queue string) int
	// RequeueAtHead is true where Reject(requeue) puts a message back to be
	// consumed next (RabbitMQ), false where it goes to the far end (Redis).
	RequeueAtHead bool
	// ReturnUnmarked is true where a returned message does not count as
	// redelivered.
	ReturnUnmarked bool
	// HighFirst is true where the higher priority is consumed first (RabbitMQ).
	// NoPriority skips the test.
	HighFirst  bool
	NoPriority bool
	// HeadersSorted is true where headers arrive sorted by name instead of in the
	// order in which they were sent (RabbitMQ).
	HeadersSorted bool
	// ReadyOnly is true where Queues knows ready messages alone, neither
	// unacknowledged nor delayed ones (RabbitMQ over AMQP).
	ReadyOnly bool
	// LostWithin bounds the time until the messages of a consumer that vanished
	// are handed out again (20 s).
	LostWithin time.Duration
	// ParkLate is how late a parked message may be (1 s).
	ParkLate time.Duration
	// Volume is how many messages go through the shared queue (2,000).
	Volume int
}

func (f Features) withDefaults() Features {
	if f.LostWithin == 0 {
		f.LostWithin = 20 * time.Second
	}
	if f.ParkLate == 0 {
		f.ParkLate = time.Second
	}
	if f.Volume == 0 {
		f.Volume = 2000
	}
	return f
}

// suite is one run: every test opens brokers of its own and uses queues of its
// own.
type suite struct {
	Features
	open func(t *testing.T) broker.Broker
}

// Run tests a driver. open returns a new Broker each time it is called, all of
// them connected to the same place; the suite closes them. Queue names are
// random, so that the place need not be empty.
func Run(t *testing.T, f Features, open func(t *testing.T) broker.Broker) {
	s := suite{Features: f.withDefaults(), open: open}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"PublishClaimAck", s.publishClaimAck},
		{"MessageSurvives", s.messageSurvives},
		{"Batch", s.batch},
		{"RejectDrops", s.rejectDrops},
		{"RejectRequeues", s.rejectRequeues},
		{"Return", s.returns},
		{"Park", s.park},
		{"ParkOutlivesConsumer", s.parkOutlivesConsumer},
		{"Dead", s.dead},
		{"SettleTwice", s.settleTwice},
		{"Lost", s.lost},
		{"Prefetch", s.prefetch},
		{"SetPrefetch", s.setPrefetch},
		{"Priority", s.priority},
		{"SharedQueue", s.sharedQueue},
		{"ClaimEndsWithContext", s.claimEndsWithContext},
		{"ClaimWakes", s.claimWakes},
		{"CloseGivesBack", s.closeGivesBack},
		{"BrokerCloseEndsClaim", s.brokerCloseEndsClaim},
		{"AddAndCancelQueue", s.addAndCancelQueue},
		{"Malformed", s.malformed},
		{"Purge", s.purge},
		{"QueueFigures", s.queueFigures},
		{"NamedExchange", s.namedExchange},
		{"TopicExchange", s.topicExchange},
		{"Mandatory", s.mandatory},
		{"Fanout", s.fanout},
		{"TopicEvents", s.topicEvents},
		{"DirectReply", s.directReply},
		{"RPCQueue", s.rpcQueue},
		{"SubscriptionClose", s.subscriptionClose},
		{"Info", s.info},
	} {
		t.Run(test.name, test.run)
	}
}

// wait is the limit for what should happen at once.
const wait = 15 * time.Second

func (s suite) broker(t *testing.T) broker.Broker {
	t.Helper()
	b := s.open(t)
	t.Cleanup(func() { b.Close() })
	return b
}

func unique(prefix string) string { return prefix + "-" + uuid.NewString()[:13] }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// task is a message that a Python worker would take for a task.
func task(id string) *protocol.Message {
	m := protocol.NewMessage(
		protocol.Object{{Name: "lang", Value: "go"}, {Name: "task", Value: "conformance"}, {Name: "id", Value: id}},
		[]byte(`[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`))
	m.Properties.CorrelationID = id
	return m
}

func id(d broker.Delivery) string { return d.Message().Headers.String("id") }

func publish(t *testing.T, b broker.Broker, queue string, ids ...string) {
	t.Helper()
	msgs := make([]broker.Publishing, len(ids))
	for i, id := range ids {
		msgs[i] = broker.Publishing{RoutingKey: queue, Message: task(id)}
	}
	if err := b.Publish(within(t, wait), msgs...); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func consume(t *testing.T, b broker.Broker, prefetch int, queues ...string) broker.Consumer {
	t.Helper()
	opts := broker.ConsumeOptions{Worker: "w@" + unique("h"), Prefetch: prefetch}
	for _, q := range queues {
		opts.Queues = append(opts.Queues, broker.Queue{Name: q}.WithDefaults())
	}
	c, err := b.Consume(within(t, wait), opts)
	if err != nil {
		t.Fatalf("consume: %v", err)
	}
	return c
}

// claim takes exactly n messages.
func claim(t *testing.T, c broker.Consumer, n int, limit time.Duration) []broker.Delivery {
	t.Helper()
	ctx := within(t, limit)
	var out []broker.Delivery
	for len(out) < n {
		got, err := c.Claim(ctx, n-len(out))
		if err != nil {
			t.Fatalf("claim %d of %d: %v", len(out)+1, n, err)
		}
		out = append(out, got...)
	}
	if len(out) > n {
		t.Fatalf("claimed %d messages, asked for %d", len(out), n)
	}
	return out
}

// none checks that nothing arrives for a while.
func none(t *testing.T, c broker.Consumer) {
	t.Helper()
	got, err := c.Claim(within(t, 300*time.Millisecond), 10)
	if len(got) > 0 || err == nil {
		t.Fatalf("claimed %d messages (%v), want none", len(got), err)
	}
}

func ack(t *testing.T, ds ...broker.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := d.Ack(within(t, wait)); err != nil {
			t.Fatalf("ack %s: %v", id(d), err)
		}
	}
}

// eventually repeats check until it is true.
func eventually(t *testing.T, limit time.Duration, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
