package app

import (
	"context"
	"slices"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/monitor"
	"github.com/umbel-go/umbel/protocol"
)

// fleet is the monitor as the workflows see it.
type fleet struct{ m *monitor.Monitor }

// Node is dag.Fleet's.
func (f fleet) Node(name string) (dag.FleetNode, bool) {
	w, ok, err := f.m.Worker(context.Background(), "", name)
	if err != nil || !ok {
		return dag.FleetNode{}, false
	}
	return dag.FleetNode{Name: name, Alive: w.Online, LastSeen: protocol.FromSeconds(w.LastSeen())}, true
}

// Registered is dag.Fleet's. Nothing is known while a live node has not told
// what it registers.
func (f fleet) Registered(task string) ([]string, bool) {
	nodes := f.m.LiveNodes()
	for _, n := range nodes {
		if len(n.Tasks) == 0 {
			return nil, false
		}
	}
	return f.m.Registered(task), len(nodes) > 0
}

// QueueDepth is dag.Fleet's.
func (f fleet) QueueDepth(queue string) (int, bool) { return f.m.QueueDepth(queue) }

// Consumers is dag.Fleet's.
func (f fleet) Consumers(queue string) (int, bool) {
	nodes, count := f.m.LiveNodes(), 0
	for _, n := range nodes {
		if len(n.Queues) == 0 {
			return 0, false
		}
		if slices.Contains(n.Queues, queue) {
			count++
		}
	}
	return count, len(nodes) > 0
}
