// Package version holds the version of the program.
package version

// String is what `umbel version`, heartbeats, stats and pages call it.
const String = "0.1.0"
