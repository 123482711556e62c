package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// need is what a behaviour asks of the stage that it runs on.
type need int

const (
	anywhere need = iota
	chords        // a result backend that joins: Redis
	redisOnly
	amqpOnly
)

// behaviour is one row of the compatibility table. Either check names a function
// of the Python check modules, which the Python producer runs against the tasks
// of side; or run is a check in Go.
type behaviour struct {
	group string
	name  string

	check string
	side  string
	param any
	run   func(t testing.TB, r *rig)

	needs need
	since string // first Celery version that can do it; "" means all
	// unable lists columns as 4.4/redis where Celery does not manage it alone, or
	// not always (the rpc client of 5.6 misses results that come just
	// a second after it began to wait, also those of a Python worker);
	// ours marks what no Celery worker does.
	unable []string
	ours   bool
	// smoke rows run with every Celery version in the short form too.
	smoke bool
	// long rows run only in the full form.
	long bool
}

// Groups of rows, in their order in the document.
const (
	groupSending  = "Python producer, Go worker: sending"
	groupValues   = "Python producer, Go worker: values"
	groupFailures = "Python producer, Go worker: failures and retries"
	groupResults  = "Python producer, Go worker: results and revocation"
	groupControl  = "Python producer, Go worker: remote control"
	groupCanvas   = "Python producer, Go worker: canvas"
	groupProducer = "Go producer, Python worker"
	groupFleet    = "Go and Python workers in one fleet"
	groupFaults   = "Faults"
	groupBrokers  = "Brokers and tools"
)

// behaviours are all rows in the order of the document.
func behaviours() []behaviour {
	var rows []behaviour
	for _, part := range []struct {
		group string
		rows  []behaviour
	}{
		{groupSending, sendingRows}, {groupValues, valueRows}, {groupFailures, failureRows}, {groupResults, resultRows},
		{groupControl, controlRows}, {groupCanvas, canvasRows}, {groupProducer, producerRows}, {groupFleet, fleetRows()},
		{groupFaults, faultRows}, {groupBrokers, brokerRows},
	} {
		for _, row := range part.rows {
			row.group = part.group
			if row.side == "" {
				row.side = "go"
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// fleetRows are the rows about canvases over both sides, and a selection of the
// other rows with tasks that either worker may take.
func fleetRows() []behaviour {
	rows := append([]behaviour(nil), mixedRows...)
	shared := map[string]bool{}
	for _, name := range strings.Fields(sharedChecks) {
		shared[name] = true
	}
	for _, of := range [][]behaviour{sendingRows, valueRows, failureRows, resultRows, canvasRows} {
		for _, row := range of {
			if shared[row.check] && row.param == nil {
				row.side, row.smoke, row.name = "both", false, "either worker: "+row.name
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// applies tells why a row has no meaning in a column, "" if it has.
func (b behaviour) applies(c column) string {
	switch {
	case b.since != "" && older(c.version, b.since):
		return "Celery " + b.since + " and later"
	case b.needs == chords && c.stage == onAMQPAndRPC:
		return "Celery's rpc results cannot do it"
	case b.needs == redisOnly && c.stage != onRedis:
		return "about the Redis broker"
	case b.needs == amqpOnly && c.stage == onRedis:
		return "about RabbitMQ"
	case slices.Contains(b.unable, c.version+"/"+c.stage):
		return "between Python peers of that version it does not work either, or not always"
	}
	return ""
}

// older compares versions of the form 5.4.
func older(a, b string) bool {
	var am, an, bm, bn int
	fmt.Sscanf(a, "%d.%d", &am, &an)
	fmt.Sscanf(b, "%d.%d", &bm, &bn)
	return am < bm || am == bm && an < bn
}

func (b behaviour) try(t testing.TB, r *rig) error {
	return attempt(t, func(t testing.TB) {
		if b.run != nil {
			b.run(t, r)
			return
		}
		if err := r.peer.check(b.check, b.side, b.param); err != nil {
			t.Error(err)
		}
	})
}

// python is a row that a Python check decides.
func python(name, check string, more ...func(*behaviour)) behaviour {
	b := behaviour{name: name, check: check}
	for _, m := range more {
		m(&b)
	}
	return b
}

func smoke(b *behaviour)    { b.smoke = true }
func ours(b *behaviour)     { b.ours = true }
func long(b *behaviour)     { b.long = true }
func chording(b *behaviour) { b.needs = chords }
func inRedis(b *behaviour)  { b.needs = redisOnly }

func since(version string) func(*behaviour) { return func(b *behaviour) { b.since = version } }
func failsIn(columns ...string) func(*behaviour) {
	return func(b *behaviour) { b.unable = columns }
}
func with(param any) func(*behaviour) { return func(b *behaviour) { b.param = param } }
func on(side string) func(*behaviour) { return func(b *behaviour) { b.side = side } }
