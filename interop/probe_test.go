package interop

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// probe is the test that one check of the table runs in. Its failure is a value,
// so that a known one can stand in the table without failing the suite.
type probe struct {
	testing.TB

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// attempt runs a check that is written as a test and returns why it failed.
func attempt(t testing.TB, check func(testing.TB)) error {
	p := &probe{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer p.cleanUp()
		check(p)
	}()
	<-ended
	if len(p.failures) == 0 {
		return nil
	}
	return errors.New(strings.Join(p.failures, "; "))
}

func (p *probe) cleanUp() {
	for len(p.cleanups) > 0 {
		last := p.cleanups[len(p.cleanups)-1]
		p.cleanups = p.cleanups[:len(p.cleanups)-1]
		last()
	}
}

func (p *probe) Helper()          {}
func (p *probe) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

func (p *probe) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.failures) > 0
}

func (p *probe) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.failures, text) {
		p.failures = append(p.failures, text)
	}
}

func (p *probe) Fail()                             { p.note("failed") }
func (p *probe) Error(args ...any)                 { p.note(strings.TrimSpace(fmt.Sprintln(args...))) }
func (p *probe) Errorf(format string, args ...any) { p.note(fmt.Sprintf(format, args...)) }
func (p *probe) FailNow()                          { p.Fail(); runtime.Goexit() }
func (p *probe) Fatal(args ...any)                 { p.Error(args...); runtime.Goexit() }
func (p *probe) Fatalf(format string, args ...any) { p.Errorf(format, args...); runtime.Goexit() }
