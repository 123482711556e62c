// Package test runs the built program end to end: as its users start it, with
// Python beside it, killed and started again.
package test
