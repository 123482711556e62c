// Package testenv gives tests what they cannot make themselves: a Redis
// database or a RabbitMQ vhost of their own, servers to break, Python with
// Celery, the umbel program, and processes that end with the test.
//
// The servers come from "go run ./internal/testenv/run -- go test ./...", which
// names them in environment variables. Without them a test skips and says what
// it lacks; under UMBEL_TEST_REQUIRED=1 it fails instead, so that nothing goes
// untested unnoticed.
package testenv

import (
	"os"
	"testing"
	"time"
)

// Variables that the run command sets.
const (
	redisVar   = "UMBEL_TEST_REDIS"    // redis://127.0.0.1:PORT
	amqpVar    = "UMBEL_TEST_AMQP"     // amqp://guest:guest@127.0.0.1:PORT
	amqpAPIVar = "UMBEL_TEST_AMQP_API" // http://guest:guest@127.0.0.1:PORT
	pythonsVar = "UMBEL_TEST_PYTHONS"  // JSON object: name to folder
	dirVar     = "UMBEL_TEST_DIR"      // temporary folder of the whole run
)

// Variables that the one who starts the tests sets.
const (
	requiredVar = "UMBEL_TEST_REQUIRED" // 1: what is missing is a failure
	fullVar     = "UMBEL_TEST_FULL"     // 1: the long forms of tests too
	binaryVar   = "UMBEL_TEST_BINARY"   // path of an umbel program to use
)

// pollEvery is how often a condition is looked at.
const pollEvery = 10 * time.Millisecond

// Missing ends a test that lacks something of its surroundings: it skips with
// the reason, or fails under UMBEL_TEST_REQUIRED=1.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(requiredVar) == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Full tells whether the long forms of tests are asked for (make test-full).
func Full() bool { return os.Getenv(fullVar) == "1" }

// RequireFull skips a test that only make test-full runs.
func RequireFull(t testing.TB) {
	t.Helper()
	if !Full() {
		t.Skip("only with UMBEL_TEST_FULL=1 (make test-full)")
	}
}

// variable returns the value of a variable of the run command.
func variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		Missing(t, "%s is not set: start the tests with go run ./internal/testenv/run -- go test ./...", name)
	}
	return value
}

// Eventually calls check every 10 ms until it returns nil, and fails the test
// with its last error when that takes longer than timeout. Call it on the test's
// goroutine.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %v", timeout, err)
		}
	}
}
