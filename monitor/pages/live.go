package pages

import (
	"context"
	"time"

	"github.com/umbel-go/umbel/internal/web"
	"github.com/umbel-go/umbel/monitor"
)

// Topics of the live stream. A change of one task is also published under
// TopicTask and its id.
const (
	TopicTasks   = "tasks"
	TopicWorkers = "workers"
	TopicQueues  = "queues"
	TopicBroker  = "broker"
	TopicTask    = "task/"
)

const (
	// queuePace and brokerPace are how often watchers look at queues and at
	// the connection, which no event tells about.
	queuePace  = 2 * time.Second
	brokerPace = 10 * time.Second
)

// Follow passes the monitor's changes on to the browsers until ctx ends. They
// are hints, not data: a browser that follows a topic asks for its page again,
// at most once a second.
func Follow(ctx context.Context, changes func() (<-chan monitor.Change, func()), hub *web.Hub) {
	queues, brokers := time.NewTicker(queuePace), time.NewTicker(brokerPace)
	defer queues.Stop()
	defer brokers.Stop()
	stream, end := changes()
	defer func() { end() }()
	for {
		select {
		case <-ctx.Done():
			return
		case c, ok := <-stream:
			if ok {
				publish(hub, c)
				continue
			}
			// This reader fell behind, so anything may have changed. The next
			// tick subscribes again.
			stream = nil
			hub.Publish(web.Update{Topic: TopicTasks}, web.Update{Topic: TopicWorkers})
		case <-queues.C:
			hub.Publish(web.Update{Topic: TopicQueues})
			if stream == nil {
				end()
				stream, end = changes()
			}
		case <-brokers.C:
			hub.Publish(web.Update{Topic: TopicBroker})
		}
	}
}

func publish(hub *web.Hub, c monitor.Change) {
	if c.TaskID != "" {
		hub.Publish(web.Update{Topic: TopicTasks}, web.Update{Topic: TopicTask + c.TaskID})
	}
	if c.Worker != "" {
		hub.Publish(web.Update{Topic: TopicWorkers})
	}
}
