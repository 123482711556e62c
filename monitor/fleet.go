package monitor

import (
	"slices"
	"sort"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// Node is an online worker as a scheduler sees it.
type Node struct {
	Name   string   // node name, "celery@host"
	Host   string   // the part behind "@"
	Queues []string // that it consumes from
	Tasks  []string // that it registers
}

// LiveNodes returns the online workers of all brokers with their last inspect
// answers, sorted by name.
func (m *Monitor) LiveNodes() []Node {
	now := protocol.Seconds(m.cfg.Now())
	var out []Node
	for _, s := range m.sources {
		for name, answers := range s.inspector.all() {
			if !s.online(name, now) {
				continue
			}
			_, host, _ := strings.Cut(name, "@")
			out = append(out, Node{name, host, activeQueues(answers), registered(answers)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// registered are the task names in a worker's answer.
func registered(i Inspect) []string {
	names, err := protocol.RegisteredNames(i.Answers["registered"])
	if err != nil {
		return nil // never answered, or not a list
	}
	return names
}

// Registered returns the online workers that register a task, sorted.
func (m *Monitor) Registered(task string) []string {
	var out []string
	for _, n := range m.LiveNodes() {
		if slices.Contains(n.Tasks, task) {
			out = append(out, n.Name)
		}
	}
	return out
}

// QueueDepth is the number of messages in a queue of the first broker by the
// last look at it; ok is false for a queue nobody looked at.
func (m *Monitor) QueueDepth(queue string) (n int, ok bool) {
	return m.sources[0].depths.last(queue)
}
