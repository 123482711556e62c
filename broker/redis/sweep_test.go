package redis

import (
	"errors"
	"testing"
	"time"
)

// TestSteadiness says when leases tell the truth: after an outage all are old.
func TestSteadiness(t *testing.T) {
	const lease, every = 8 * time.Second, 2 * time.Second
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	s := steadiness{broken: at(-8.1)}
	if !s.long(at(0), lease) {
		t.Error("does not sweep a lease after its start")
	}
	s.note(at(0), every, nil)
	s.note(at(2), every, errors.New("broken"))
	if s.long(at(9.9), lease) {
		t.Error("sweeps within a lease of an outage")
	}
	s.note(at(4), every, nil)
	if !s.long(at(10.1), lease) {
		t.Error("does not sweep a lease after the outage")
	}
	s.note(at(10.1), every, nil)
	s.note(at(20), every, nil)
	if s.long(at(21), lease) {
		t.Error("a gap without an error is an outage too")
	}
}

func TestPacerLeavesGaps(t *testing.T) {
	var p pacer
	start, longest, last := time.Now(), time.Duration(0), time.Now()
	for time.Since(start) < 3*paceBurst {
		p.wait()
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
	}
	if longest < paceGap {
		t.Errorf("longest gap %v, want %v", longest, paceGap)
	}
}
