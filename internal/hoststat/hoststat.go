// Package hoststat reads figures of the host and of this process. It is the one
// place that knows the library behind them.
package hoststat

import (
	"math"
	"runtime"
	"strings"

	"github.com/shirou/gopsutil/v3/load"
)

// System is the name of the operating system as Python's platform.system gives
// it: "Linux", "Darwin", "Windows".
func System() string {
	return strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
}

// Load is the load average over 1, 5 and 15 minutes, rounded up to two decimals
// as Celery's heartbeats carry it; zeros where the system has none.
func Load() [3]float64 {
	avg, err := load.Avg()
	if err != nil {
		return [3]float64{}
	}
	up := func(f float64) float64 { return math.Ceil(f*100) / 100 }
	return [3]float64{up(avg.Load1), up(avg.Load5), up(avg.Load15)}
}
