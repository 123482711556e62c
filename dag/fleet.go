package dag

import "time"

// Fleet is what the layer wants to know about workers. The monitor's state
// implements it; without one nothing is declared lost and no reason names a
// missing consumer. Its methods answer from memory, at once.
type Fleet interface {
	// Node tells about a worker by node name; ok is false when it was never seen.
	Node(name string) (info FleetNode, ok bool)
	// Registered lists the live workers that have the task; known is false when
	// the replies of the workers are not in yet.
	Registered(task string) (nodes []string, known bool)
	// QueueDepth is the number of messages that wait in a queue, and Consumers
	// the number of live workers that read it; known is false when unknown.
	QueueDepth(queue string) (depth int, known bool)
	Consumers(queue string) (n int, known bool)
}

// FleetNode is one worker.
type FleetNode struct {
	Name     string
	Alive    bool
	LastSeen time.Time
}

// Explain says in words why a node is not moving, "" when it is over or running.
// fleet may be nil.
func Explain(r *Run, i int, fleet Fleet) string {
	n := &r.Nodes[i]
	switch n.State {
	case NodeWaiting:
		return r.waitingFor(i)
	case NodeQueued:
		return queuedReason(r, i, fleet)
	case NodeDispatching:
		if n.Reason == "" {
			return "waits for the broker to take its task"
		}
	}
	return n.Reason
}

func (r *Run) waitingFor(i int) string {
	text := ""
	for _, dep := range r.Plan().Prev[i] {
		if d := &r.Nodes[dep]; d.State != NodeSucceeded && d.State != NodeSkipped {
			if text != "" {
				text += ", "
			}
			text += d.Name + " (" + string(d.State) + ")"
		}
	}
	if text == "" {
		return ""
	}
	return "needs " + text
}

func queuedReason(r *Run, i int, fleet Fleet) string {
	n, spec := &r.Nodes[i], &r.Def.Nodes[i]
	if fleet == nil || n.Worker != "" {
		return n.Reason
	}
	if queue := r.Def.queue(spec); queue != "" {
		if consumers, known := fleet.Consumers(queue); known && consumers == 0 {
			return "no live worker consumes queue " + queue
		}
	}
	if nodes, known := fleet.Registered(spec.Task); known && len(nodes) == 0 {
		return "no live worker has the task " + spec.Task
	}
	return n.Reason
}
