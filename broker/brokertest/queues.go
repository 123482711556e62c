package brokertest

import (
	"errors"
	"testing"

	"github.com/umbel-go/umbel/broker"
)

func (s suite) eventuallyInfo(t *testing.T, b broker.Broker, queue, what string, ok func(broker.QueueInfo) bool) {
	t.Helper()
	eventually(t, wait, what, func() bool {
		infos, err := b.Queues(within(t, wait), queue)
		if err != nil || len(infos) != 1 || infos[0].Name != queue {
			t.Fatalf("figures of %s: %v, %v", queue, infos, err)
		}
		return ok(infos[0])
	})
}

func (s suite) purge(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a", "b", "c")
	n, err := b.Purge(within(t, wait), q)
	if err != nil || n != 3 {
		t.Fatalf("purged %d, %v; want 3", n, err)
	}
	none(t, consume(t, b, 1, q))
	if n, err := b.Purge(within(t, wait), q); err != nil || n != 0 {
		t.Errorf("purged %d, %v; want 0", n, err)
	}
	if n, err := b.Purge(within(t, wait), unique("never")); err != nil || n != 0 {
		t.Errorf("purge of an unknown queue: %d, %v; want 0", n, err)
	}
}

func (s suite) queueFigures(t *testing.T) {
	b, q, other := s.broker(t), unique("q"), unique("q")
	infos, err := b.Queues(within(t, wait), q, other)
	if err != nil || len(infos) != 2 || infos[0].Name != q || infos[0].Messages != 0 {
		t.Fatalf("figures of unknown queues: %+v, %v", infos, err)
	}
	publish(t, b, q, "a", "b", "c")
	publish(t, b, other, "x")
	c := consume(t, b, 2, q)
	held := claim(t, c, 2, wait)
	s.eventuallyInfo(t, b, q, "1 ready, 2 unacked", func(i broker.QueueInfo) bool {
		if s.ReadyOnly {
			return i.Ready == 1 && i.Messages == 1
		}
		return i.Ready == 1 && i.Unacked == 2 && i.Messages == 3 && i.Delayed == 0
	})
	s.eventuallyInfo(t, b, other, "1 ready", func(i broker.QueueInfo) bool {
		return i.Ready == 1 && i.Unacked == 0
	})
	ack(t, held...)
	ack(t, claim(t, c, 1, wait)...)
	s.eventuallyInfo(t, b, q, "empty", func(i broker.QueueInfo) bool { return i.Messages == 0 })
}

func (s suite) namedExchange(t *testing.T) {
	b := s.broker(t)
	q := broker.Queue{Name: unique("q"), Exchange: unique("ex"), Kind: broker.Direct, RoutingKey: "key"}
	if err := b.Declare(within(t, wait), q); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"other", "key"} {
		err := b.Publish(within(t, wait), broker.Publishing{Exchange: q.Exchange, RoutingKey: key, Message: task(key)})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := consume(t, b, 1)
	if err := c.AddQueue(within(t, wait), q); err != nil {
		t.Fatal(err)
	}
	d := claim(t, c, 1, wait)[0]
	if id(d) != "key" || d.Queue() != q.Name {
		t.Errorf("got %s from %s, want key from %s", id(d), d.Queue(), q.Name)
	}
	if err := d.Reject(within(t, wait), true); err != nil {
		t.Fatal(err)
	}
	ack(t, claim(t, c, 1, wait)...)
	none(t, c)
}

func (s suite) topicExchange(t *testing.T) {
	b, ex := s.broker(t), unique("ex")
	all := broker.Queue{Name: unique("all"), Exchange: ex, Kind: broker.Topic, RoutingKey: "#"}
	one := broker.Queue{Name: unique("one"), Exchange: ex, Kind: broker.Topic, RoutingKey: "eu.*.paid"}
	for _, q := range []broker.Queue{all, one} {
		if err := b.Declare(within(t, wait), q); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"eu.shop.paid", "eu.shop.x.paid", "us.shop.paid"} {
		err := b.Publish(within(t, wait), broker.Publishing{Exchange: ex, Kind: broker.Topic, RoutingKey: key, Message: task(key)})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.eventuallyInfo(t, b, all.Name, "3 in the queue bound to all", func(i broker.QueueInfo) bool { return i.Ready == 3 })
	s.eventuallyInfo(t, b, one.Name, "1 in the queue bound to a pattern", func(i broker.QueueInfo) bool { return i.Ready == 1 })
}

func (s suite) mandatory(t *testing.T) {
	b := s.broker(t)
	q := broker.Queue{Name: unique("q"), Exchange: unique("ex"), Kind: broker.Direct, RoutingKey: "key"}
	if err := b.Declare(within(t, wait), q); err != nil {
		t.Fatal(err)
	}
	p := broker.Publishing{Exchange: q.Exchange, RoutingKey: "nobody", Message: task("a")}
	if err := b.Publish(within(t, wait), p); err != nil {
		t.Errorf("publish to nobody: %v, want it dropped", err)
	}
	p.Mandatory = true
	if err := b.Publish(within(t, wait), p); !errors.Is(err, broker.ErrNoQueue) {
		t.Errorf("mandatory publish to nobody: %v, want ErrNoQueue", err)
	}
	p.RoutingKey = "key"
	if err := b.Publish(within(t, wait), p); err != nil {
		t.Errorf("mandatory publish to a bound queue: %v", err)
	}
}

func (s suite) info(t *testing.T) {
	i := s.broker(t).Info()
	if i.Transport == "" || i.Host == "" || i.URL == "" {
		t.Errorf("info lacks transport, host or URL: %+v", i)
	}
}
