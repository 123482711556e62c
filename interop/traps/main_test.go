package traps

import (
	"fmt"
	"os"
	"testing"
)

// cleanups run when all tests of the package have run.
var cleanups []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(cleanups) - 1; i >= 0; i-- {
		cleanups[i]()
	}
	os.Exit(code)
}

// lasting lets what a test starts serve the whole package: it fails like the
// test, but cleans up after the last one.
type lasting struct{ testing.TB }

func (lasting) Cleanup(f func()) { cleanups = append(cleanups, f) }
func (lasting) Helper()          {}
func (lasting) Failed() bool     { return false }

func (lasting) Errorf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
