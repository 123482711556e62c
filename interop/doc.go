// Package interop tests Umbel against real Python Celery, in one run, on the
// same brokers.
package interop
