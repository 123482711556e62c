package pages

import (
	"net/http"

	"github.com/umbel-go/umbel/monitor"
)

type brokerPage struct {
	frame
	Brokers []monitor.BrokerStatus
	Queues  []monitor.Queue
	Sum     monitor.Queue
	Delayed bool // some queue has parked messages
}

func (p *pages) broker(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	d := &brokerPage{frame: p.frame(r), Brokers: p.Source.Brokers()}
	var err error
	d.Queues, err = p.Source.Queues(ctx, d.Broker)
	d.failed(ctx, "queues", err)
	for _, q := range d.Queues {
		d.Sum.Messages += q.Messages
		d.Sum.Ready += q.Ready
		d.Sum.Unacked += q.Unacked
		d.Sum.Delayed += q.Delayed
		d.Delayed = d.Delayed || q.Delayed > 0
	}
	p.Renderer.Render(w, r, http.StatusOK, "broker.html", d)
}
