package monitor

import (
	"strings"

	"github.com/umbel-go/umbel/monitor/store"
)

// maxTallies bounds the kinds of events that are counted apart, for each source;
// what is beyond counts under the task name "other".
const maxTallies = 10_000

// tallies count events, as Flower counts them: by sender and type, and by task
// name besides. They are owned by the source.
type tallies struct {
	kinds   map[tallyKey]int64
	senders map[string][]Counter
	dirty   map[tallyKey]struct{}
}

type tallyKey struct{ hostname, event, task string }

func newTallies() *tallies {
	return &tallies{kinds: map[tallyKey]int64{}, senders: map[string][]Counter{}, dirty: map[tallyKey]struct{}{}}
}

// add counts an event and returns the sender and task name that it counts under.
func (t *tallies) add(hostname, event, task string) tallyKey {
	k := tallyKey{foldClient(hostname), event, task}
	if _, ok := t.kinds[k]; !ok && len(t.kinds) >= maxTallies {
		k.task = "other"
	}
	t.kinds[k]++
	t.dirty[k] = struct{}{}
	t.bump(k.hostname, event, 1)
	return k
}

// restore adds counts of an earlier process.
func (t *tallies) restore(counts []store.EventCount) {
	for _, c := range counts {
		t.kinds[tallyKey{c.Hostname, c.Type, c.Task}] += c.N
		t.bump(c.Hostname, c.Type, c.N)
	}
}

func (t *tallies) bump(hostname, event string, n int64) {
	counters := t.senders[hostname]
	for i := range counters {
		if counters[i].Type == event {
			counters[i].N += n
			return
		}
	}
	t.senders[hostname] = append(counters, Counter{event, n})
}

// forget drops what a sender counted.
func (t *tallies) forget(hostname string) {
	delete(t.senders, hostname)
	for k := range t.kinds {
		if k.hostname == hostname {
			delete(t.kinds, k)
			delete(t.dirty, k)
		}
	}
}

// foldClient turns the "gen<pid>@host" of a client into "gen@host": every
// process that sends tasks has another pid.
func foldClient(hostname string) string {
	rest, ok := strings.CutPrefix(hostname, "gen")
	if !ok {
		return hostname
	}
	pid, host, ok := strings.Cut(rest, "@")
	if !ok || pid == "" || strings.Trim(pid, "0123456789") != "" {
		return hostname
	}
	return "gen@" + host
}
