package amqp

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"

	"github.com/umbel-go/umbel/internal/testenv"
)

// clock is real time moved by an offset.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func TestParkInWideBucketTakesTwoHops(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	var clock clock
	b.now = clock.now
	c := newConsumer(t, b, 1, "q")
	send(t, b, "q", "a")
	parked := claimOne(t, c)
	// 0.9 s before a minute begins.
	clock.advance(time.Until(time.Now().Truncate(time.Minute).Add(2*time.Minute)) - 900*time.Millisecond)
	until := b.now().Add(60*time.Second + 500*time.Millisecond)
	if err := parked.Park(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	minute := until.Truncate(time.Minute)
	wide := delayPrefix + "q." + strconv.FormatInt(minute.Unix(), 10) + "+60"
	eventuallyReady(t, b, wide, 1)
	clock.advance(57 * time.Second)
	narrow := bucketFor("q", until, until.Add(-2*time.Second)).name
	eventuallyReady(t, b, narrow, 1)

	d := claimOne(t, c)
	if early := until.Sub(b.now()); early > 0 || early < -time.Second {
		t.Errorf("came %v before its time", early)
	}
	want := parked.Message()
	want.Properties.Exchange = ""
	if diff := cmp.Diff(want, d.Message()); diff != "" {
		t.Errorf("parking changed the message (-before +after):\n%s", diff)
	}
	if d.Redelivered() {
		t.Error("a parked message counts as redelivered")
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventuallyReady(t, b, narrow, 0)
	eventuallyReady(t, b, "q", 0)
}

func TestParkForLessThanASecond(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := newConsumer(t, b, 2, "q")
	send(t, b, "q", "a", "b")
	first, second := claimOne(t, c), claimOne(t, c)
	until := time.Now().Add(300 * time.Millisecond)
	if err := first.Park(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	d := claimOne(t, c)
	if body(d) != "a" || time.Now().Before(until) {
		t.Errorf("got %s %v before its time", body(d), time.Until(until))
	}
	if err := d.Ack(t.Context()); err != nil {
		t.Fatal(err)
	}

	until = time.Now().Add(900 * time.Millisecond)
	if err := second.Park(t.Context(), until); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	d = claimOne(t, newConsumer(t, b, 1, "q"))
	if body(d) != "b" || time.Now().Before(until) {
		t.Errorf("after its consumer closed: got %s %v before its time", body(d), time.Until(until))
	}
}

func TestParkWhileConnectionsBreak(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, testenv.AMQP(t))
	b := newBroker(t, p.URL)
	c := newConsumer(t, b, 1, "q")
	send(t, b, "q", "a")
	d := claimOne(t, c)
	p.SetDown(true)
	<-d.Lost()
	if err := d.Park(t.Context(), time.Now().Add(time.Minute)); err == nil {
		t.Error("a lost delivery was parked")
	}
	p.SetDown(false)
	if d := claimOne(t, c); body(d) != "a" || !d.Redelivered() {
		t.Errorf("got %s, redelivered %v", body(d), d.Redelivered())
	}
}

// TestEarlyWhilePublishingIsDown has a message come out of its bucket too early,
// as with clocks that differ, while it cannot be parked again.
func TestEarlyWhilePublishingIsDown(t *testing.T) {
	t.Parallel()
	url := testenv.AMQP(t)
	producer := newBroker(t, url)
	p := testenv.NewProxy(t, url)
	b := newBroker(t, url)
	b.publishing = newBroker(t, p.URL).publishing
	c := newConsumer(t, b, 1, "q")
	p.SetDown(true)
	until := time.Now().Add(2500 * time.Millisecond)
	m := protocol.NewMessage(protocol.Object{{Name: headerUntil, Value: strconv.FormatInt(until.UnixMilli(), 10)}}, []byte("a"))
	if err := producer.Publish(t.Context(), broker.Publishing{RoutingKey: "q", Message: m}); err != nil {
		t.Fatal(err)
	}
	eventuallyReady(t, producer, "q", 0)
	p.SetDown(false)
	eventuallyReady(t, producer, bucketFor("q", until, until.Add(-time.Second)).name, 1)
	if d := claimOne(t, c); body(d) != "a" || time.Until(until) > time.Millisecond {
		t.Errorf("got %s %v before its time", body(d), time.Until(until))
	}
}

func TestDeadLetterHeaders(t *testing.T) {
	t.Parallel()
	b := newBroker(t, testenv.AMQP(t))
	c := newConsumer(t, b, 1, "q")
	m := protocol.NewMessage(protocol.Object{{Name: "id", Value: "a"}, {Name: "big", Value: int64(1) << 40}}, []byte("body"))
	m.Properties.Expiration = "60000"
	m.Properties.ReplyTo = "oid"
	if err := b.Publish(t.Context(), broker.Publishing{RoutingKey: "q", Message: m}); err != nil {
		t.Fatal(err)
	}
	if err := claimOne(t, c).Dead(t.Context(), "no such task"); err != nil {
		t.Fatal(err)
	}
	eventuallyReady(t, b, "umbel.dead.q", 1)
	s, err := b.publishing.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.try(func(ch *amqp091.Channel) error {
		got, _, err := ch.Get("umbel.dead.q", true)
		when, _ := got.Headers[headerDeadTime].(string)
		if at, err := protocol.ParseTime(when); err != nil || time.Since(at) > patience {
			t.Errorf("died at %q", when)
		}
		if id, _ := got.Headers[headerDeadID].(string); len(id) < 16 {
			t.Errorf("id %q", id)
		}
		delete(got.Headers, headerDeadTime)
		delete(got.Headers, headerDeadID)
		want := amqp091.Table{"id": "a", "big": int64(1) << 40, headerDeadQueue: "q", headerDeadReason: "no such task"}
		if diff := cmp.Diff(want, got.Headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		if got.Expiration != "" || got.ReplyTo != "oid" || string(got.Body) != "body" || got.DeliveryMode != amqp091.Persistent {
			t.Errorf("got %+v", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
