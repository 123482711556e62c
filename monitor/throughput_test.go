package monitor

import (
	"fmt"
	"testing"
	"time"

	"github.com/umbel-go/umbel/monitor/monitortest"
	"github.com/umbel-go/umbel/monitor/state"
	"github.com/umbel-go/umbel/protocol"
)

// BenchmarkEvents applies and stores the four events of a task's life, batched as
// Celery's workers batch them.
func BenchmarkEvents(b *testing.B) {
	const batch = 100
	m, err := New(Config{Sources: []Source{{Broker: &monitortest.Broker{}}}, MaxAge: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	if err := m.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	s := m.sources[0]
	kinds := []string{"task-received", "task-started", "task-succeeded"}
	b.ReportAllocs()
	for n := 0; n < b.N; n += batch {
		for k, kind := range kinds {
			events := make([]*protocol.Event, 0, batch)
			for i := n; i < n+batch; i++ {
				events = append(events, &protocol.Event{Type: kind, Hostname: "w@h", PID: 7, Clock: int64(3*i + k + 1), Timestamp: float64(epoch + i),
					Fields: protocol.Object{{Name: "uuid", Value: fmt.Sprintf("2af0a66c-0000-4000-8000-%012d", i)},
						{Name: "name", Value: "app.task"}, {Name: "args", Value: "(1, 2)"}, {Name: "kwargs", Value: "{}"}, {Name: "result", Value: "3"}, {Name: "runtime", Value: 0.5}}})
			}
			message, _, err := protocol.EncodeEvents(events...)
			if err != nil {
				b.Fatal(err)
			}
			s.receive(message)
		}
	}
	want := (b.N + batch - 1) / batch * batch
	for m.StateCounts("")[state.Success] < want {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(3*want)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(want)/b.Elapsed().Seconds(), "tasks/s")
}
