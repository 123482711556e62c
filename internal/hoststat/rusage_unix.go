//go:build unix

package hoststat

import "syscall"

// Usage is what getrusage tells of this process, under Python's names.
type Usage struct {
	UserTime, SystemTime float64 // seconds
	Counters             []Counter
}

// Counter is one of the integer figures of getrusage.
type Counter struct {
	Name  string
	Value int64
}

// Rusage reads the figures.
func Rusage() Usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return Usage{}
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return Usage{
		UserTime: seconds(r.Utime), SystemTime: seconds(r.Stime),
		Counters: []Counter{
			{"maxrss", int64(r.Maxrss)}, {"ixrss", int64(r.Ixrss)}, {"idrss", int64(r.Idrss)}, {"isrss", int64(r.Isrss)},
			{"minflt", int64(r.Minflt)}, {"majflt", int64(r.Majflt)}, {"nswap", int64(r.Nswap)},
			{"inblock", int64(r.Inblock)}, {"oublock", int64(r.Oublock)},
			{"msgsnd", int64(r.Msgsnd)}, {"msgrcv", int64(r.Msgrcv)}, {"nsignals", int64(r.Nsignals)},
			{"nvcsw", int64(r.Nvcsw)}, {"nivcsw", int64(r.Nivcsw)},
		},
	}
}
