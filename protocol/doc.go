// Package protocol holds the formats that Celery peers exchange: task messages,
// results, events, remote control and canvas signatures. It is pure: values and
// functions, no I/O, no clock, no goroutine, and it imports nothing else of
// Umbel.
//
// JSON follows kombu's dialect: Python's separators and escapes when written,
// bare NaN and Infinity and integers of any size when read, and the
// {"__type__", "__value__"} wrapper for datetimes, bytes, decimals and UUIDs.
// Arguments and results stay [Raw] until somebody binds them, so that 1, 1.0
// and integers beyond 64 bits survive a hop through Go.
package protocol
