// Package traps tests, one by one, the places where clients of Celery written in
// other languages went wrong, through the public API and against real brokers
// and real Python.
package traps
