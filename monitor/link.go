package monitor

import (
	"sync"
	"time"
)

// gapsKept is how many gaps are remembered for each source.
const gapsKept = 100

// BrokerStatus tells how a source is doing.
type BrokerStatus struct {
	Name, Transport, URL string // URL without password
	Connected            bool
	Since                time.Time // of the present Connected
	Error                string    // the last one, "" while connected
	Gaps                 []Gap     // newest last, the last 100
}

// Gap is a span in which events were lost: the connection was gone, or more
// arrived than could be taken.
type Gap struct {
	From, To time.Time // To is zero while it lasts
	Reason   string
	Dropped  int // messages, 0 when unknown
}

// link is what is known of a source's connection. It is safe for concurrent use.
type link struct {
	now func() time.Time

	mu     sync.Mutex
	status BrokerStatus
	open   int           // index+1 of the gap that lasts, 0 for none
	closed time.Duration // length of all gaps that ended
}

// up records a new connection.
func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.status.Connected, l.status.Since, l.status.Error = true, now, ""
	if l.open > 0 {
		gap := &l.status.Gaps[l.open-1]
		gap.To = now
		l.closed += now.Sub(gap.From)
		l.open = 0
	}
}

// down records a lost connection.
func (l *link) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.status.Connected || l.status.Since.IsZero() {
		l.status.Connected, l.status.Since = false, now
	}
	l.status.Error = err.Error()
	if l.open == 0 {
		l.addGap(Gap{From: now, Reason: err.Error()})
		l.open = len(l.status.Gaps)
	}
}

// overflow records messages that found no room.
func (l *link) overflow(dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.addGap(Gap{From: now, To: now, Reason: "more events arrived than could be stored", Dropped: dropped})
}

func (l *link) addGap(g Gap) {
	l.status.Gaps = append(l.status.Gaps, g)
	if over := len(l.status.Gaps) - gapsKept; over > 0 {
		l.status.Gaps = append([]Gap(nil), l.status.Gaps[over:]...)
		l.open = max(0, l.open-over)
	}
}

// lost is for how long no connection followed events, so far.
func (l *link) lost() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open > 0 {
		return l.closed + l.now().Sub(l.status.Gaps[l.open-1].From)
	}
	return l.closed
}

func (l *link) snapshot() BrokerStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.Gaps = append([]Gap(nil), s.Gaps...)
	return s
}

// Brokers tells how each source is doing, in the order of the configuration.
func (m *Monitor) Brokers() []BrokerStatus {
	out := make([]BrokerStatus, len(m.sources))
	for i, s := range m.sources {
		out[i] = s.link.snapshot()
	}
	return out
}
