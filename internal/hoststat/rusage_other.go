//go:build !unix

package hoststat

// Usage is what getrusage tells of this process; empty where there is none.
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
func Rusage() Usage { return Usage{} }
