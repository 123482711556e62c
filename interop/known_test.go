package interop

import (
	"sort"
	"strings"

	"github.com/umbel-go/umbel/internal/testenv/requirements"
)

// known explains why rows fail whose name begins with row, in the columns whose
// title holds column.
type known struct{ group, row, column, cause string }

// knownFailures are the footnotes of the cells that fail; a failure without one
// shows what the check said.
var knownFailures = []known{
	{groupControl, "scheduled", "", "the worker answers `scheduled` with nothing: delayed tasks lie in the broker"},
	{groupControl, "conf, report, clock", "", "the worker does not know `report`"},
	{groupControl, "rate_limit", "", "the worker does not know `rate_limit`"},
	{groupControl, "time_limit", "", "the worker does not know `time_limit`"},
	{groupControl, "pool_grow, pool_shrink", "", "the worker does not know `pool_grow` and `pool_shrink`"},
	{groupBrokers, "celery control", "", "the worker does not know `rate_limit`, `time_limit`, `pool_grow` and `pool_shrink`"},
	{groupBrokers, "celery inspect, every command", "", "the worker does not know `report`"},
}

// peers are the versions of what the suite talks to, for the document.
func peers() []string {
	environments, err := requirements.Environments()
	if err != nil {
		return []string{err.Error()}
	}
	sort.Slice(environments, func(i, j int) bool { return environments[i].Name > environments[j].Name })
	var lines []string
	for _, e := range environments {
		var pins []string
		for _, of := range []string{"celery", "kombu", "amqp", "redis", "billiard", "vine", "flower"} {
			for line := range strings.Lines(e.Packages) {
				if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok && name == of {
					pins = append(pins, of+" "+version)
				}
			}
		}
		lines = append(lines, e.Name+": "+strings.Join(pins, ", "))
	}
	return lines
}
