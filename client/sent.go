package client

import (
	"os"
	"slices"
	"time"

	"github.com/umbel-go/umbel/broker"
	"github.com/umbel-go/umbel/protocol"
)

// eventBatch is how many events Celery puts into one message at most.
const eventBatch = 24

// sentEvents are the task-sent events of tasks that go out as msgs, if they are
// wanted. They travel in the same round trip.
func (c *Client) sentEvents(sends []protocol.Send, msgs []broker.Publishing, queues []string) ([]broker.Publishing, error) {
	if !c.cfg.SendEvents {
		return nil, nil
	}
	now := time.Now()
	events := make([]*protocol.Event, len(sends))
	for i, s := range sends {
		events[i] = &protocol.Event{
			Type: protocol.EventTaskSent, Hostname: c.cfg.Name, UTCOffset: protocol.UTCOffset(now), PID: os.Getpid(),
			Clock: c.clock.Forward(), Timestamp: protocol.Seconds(now), Fields: sentFields(s.Task, msgs[i], queues[i]),
		}
	}
	var out []broker.Publishing
	for batch := range slices.Chunk(events, eventBatch) {
		m, key, err := protocol.EncodeEvents(batch...)
		if err != nil {
			return nil, err
		}
		out = append(out, broker.Publishing{Exchange: protocol.EventExchange, Kind: broker.Topic, RoutingKey: key, Message: m})
	}
	return out, nil
}

// sentFields are the fields of task-sent in the order that Celery writes them.
func sentFields(t *protocol.Task, p broker.Publishing, queue string) protocol.Object {
	root := t.RootID
	if root == "" {
		root = t.ID
	}
	return protocol.Object{
		{Name: "uuid", Value: t.ID}, {Name: "root_id", Value: root}, {Name: "parent_id", Value: protocol.OrNull(t.ParentID)},
		{Name: "name", Value: t.Name}, {Name: "args", Value: t.ArgsRepr}, {Name: "kwargs", Value: t.KwargsRepr},
		{Name: "retries", Value: t.Retries}, {Name: "eta", Value: protocol.TimeOrNull(t.ETA)}, {Name: "expires", Value: protocol.TimeOrNull(t.Expires)},
		{Name: "queue", Value: protocol.OrNull(queue)}, {Name: "exchange", Value: p.Exchange}, {Name: "routing_key", Value: p.RoutingKey},
	}
}
