package brokertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

func (s suite) publishClaimAck(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a")
	c := consume(t, b, 1, q)
	d := claim(t, c, 1, wait)[0]
	if id(d) != "a" || d.Queue() != q || d.Redelivered() {
		t.Fatalf("got %q from %q, redelivered %v; want a from %q, fresh", id(d), d.Queue(), d.Redelivered(), q)
	}
	ack(t, d)
	none(t, c)
}

func (s suite) messageSurvives(t *testing.T) {
	b, q := s.broker(t), unique("q")
	five := 5
	sent := &protocol.Message{
		Headers: protocol.Object{
			{Name: "id", Value: "håå®日本"}, {Name: "none", Value: nil}, {Name: "yes", Value: true},
			{Name: "list", Value: []any{nil, "x"}}, {Name: "map", Value: protocol.Object{{Name: "k", Value: "v"}}},
		},
		ContentType:     "application/x-msgpack",
		ContentEncoding: "binary",
		Body:            []byte{0x93, 0x00, 0xff, 0xc3, '\n', 0x00},
		Properties: protocol.Properties{CorrelationID: "c", ReplyTo: "r", DeliveryMode: protocol.Transient,
			Priority: &five},
	}
	if err := b.Publish(within(t, wait), broker.Publishing{RoutingKey: q, Message: sent}); err != nil {
		t.Fatal(err)
	}
	d := claim(t, consume(t, b, 1, q), 1, wait)[0]
	defer ack(t, d)
	if s.HeadersSorted {
		slices.SortFunc(sent.Headers, func(a, b protocol.Field) int { return strings.Compare(a.Name, b.Name) })
	}
	diff := cmp.Diff(sent, d.Message(), cmpopts.IgnoreFields(protocol.Properties{}, "Exchange", "RoutingKey", "DeliveryTag"))
	if diff != "" {
		t.Errorf("message changed (-sent +got):\n%s", diff)
	}
	if p := d.Message().Properties; p.Exchange != "" || p.RoutingKey != q {
		t.Errorf("delivery info %q, %q; want the default exchange and %q", p.Exchange, p.RoutingKey, q)
	}
}

func (s suite) batch(t *testing.T) {
	b, q := s.broker(t), unique("q")
	var ids []string
	for i := range 50 {
		ids = append(ids, fmt.Sprint(i))
	}
	publish(t, b, q, ids...)
	var got []string
	for _, d := range claim(t, consume(t, b, 50, q), 50, wait) {
		got = append(got, id(d))
		ack(t, d)
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("order (-sent +got):\n%s", diff)
	}
}

func (s suite) rejectDrops(t *testing.T) {
	b, q := s.broker(t), unique("q")
	c := consume(t, b, 1, q)
	publish(t, b, q, "a")
	if err := claim(t, c, 1, wait)[0].Reject(within(t, wait), false); err != nil {
		t.Fatal(err)
	}
	none(t, c)
}

func (s suite) rejectRequeues(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a", "b")
	c := consume(t, b, 1, q)
	if err := claim(t, c, 1, wait)[0].Reject(within(t, wait), true); err != nil {
		t.Fatal(err)
	}
	want := []string{"b", "a"}
	if s.RequeueAtHead {
		want = []string{"a", "b"}
	}
	for _, w := range want {
		d := claim(t, c, 1, wait)[0]
		if id(d) != w || d.Redelivered() != (w == "a") {
			t.Fatalf("got %s redelivered %v, want %s", id(d), d.Redelivered(), w)
		}
		ack(t, d)
	}
}

func (s suite) returns(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a", "b")
	c := consume(t, b, 1, q)
	if err := claim(t, c, 1, wait)[0].Return(within(t, wait)); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"a", "b"} {
		d := claim(t, c, 1, wait)[0]
		if id(d) != w {
			t.Fatalf("got %s, want %s", id(d), w)
		}
		if marked := w == "a" && !s.ReturnUnmarked; d.Redelivered() != marked {
			t.Errorf("%s redelivered %v, want %v", w, d.Redelivered(), marked)
		}
		ack(t, d)
	}
}

func (s suite) park(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a")
	c := consume(t, b, 1, q)
	until := time.Now().Add(2 * time.Second)
	if err := claim(t, c, 1, wait)[0].Park(within(t, wait), until); err != nil {
		t.Fatal(err)
	}
	s.eventuallyInfo(t, b, q, "one delayed", func(i broker.QueueInfo) bool {
		return (i.Delayed == 1 || s.ReadyOnly) && i.Messages == 0
	})
	publish(t, b, q, "other")
	if d := claim(t, c, 1, time.Second)[0]; id(d) != "other" {
		t.Fatalf("got %s, want the one that was not parked", id(d))
	} else {
		ack(t, d)
	}
	d := claim(t, c, 1, wait)[0]
	late := time.Since(until)
	if id(d) != "a" || late < 0 || late > s.ParkLate {
		t.Errorf("got %s %v after its time, want a within %v", id(d), late, s.ParkLate)
	}
	ack(t, d)
	none(t, c)
}

func (s suite) parkOutlivesConsumer(t *testing.T) {
	first, second, q := s.open(t), s.broker(t), unique("q")
	publish(t, first, q, "a")
	until := time.Now().Add(2 * time.Second)
	if err := claim(t, consume(t, first, 1, q), 1, wait)[0].Park(within(t, wait), until); err != nil {
		t.Fatal(err)
	}
	first.Close()
	d := claim(t, consume(t, second, 1, q), 1, s.LostWithin)[0]
	if id(d) != "a" || time.Now().Before(until) {
		t.Errorf("got %s %v before its time", id(d), time.Until(until))
	}
	ack(t, d)
}

func (s suite) dead(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a")
	c := consume(t, b, 1, q)
	if err := claim(t, c, 1, wait)[0].Dead(within(t, wait), "no such task"); err != nil {
		t.Fatal(err)
	}
	none(t, c)
	if s.DeadCount != nil && s.DeadCount(t, q) != 1 {
		t.Errorf("%d dead letters, want 1", s.DeadCount(t, q))
	}
}

func (s suite) settleTwice(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a")
	c := consume(t, b, 1, q)
	d := claim(t, c, 1, wait)[0]
	ack(t, d)
	if err := d.Ack(within(t, wait)); !errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("second ack: %v, want ErrClaimLost", err)
	}
	if err := d.Return(within(t, wait)); !errors.Is(err, broker.ErrClaimLost) {
		t.Errorf("return after ack: %v, want ErrClaimLost", err)
	}
	none(t, c)
}

// lost closes a broker that holds a claim, which is all that others see of a
// killed process.
func (s suite) lost(t *testing.T) {
	first, second, q := s.open(t), s.broker(t), unique("q")
	publish(t, first, q, "a")
	c := consume(t, first, 1, q)
	held := claim(t, c, 1, wait)[0]
	first.Close()
	d := claim(t, consume(t, second, 1, q), 1, s.LostWithin)[0]
	if id(d) != "a" || !d.Redelivered() {
		t.Errorf("got %s, redelivered %v; want a, redelivered", id(d), d.Redelivered())
	}
	if err := held.Ack(within(t, wait)); err == nil {
		t.Error("the lost claim could be acknowledged")
	}
	ack(t, d)
}
