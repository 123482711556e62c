package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// canonical turns the ways in which people start Celery and Flower into
// "umbel <command> ...": argv[0] may be "flower" or "celery", and "celery -A x -b
// URL flower --port=1" puts options before the command.
func canonical(argv []string) []string {
	args := argv[1:]
	switch strings.TrimSuffix(filepath.Base(argv[0]), ".exe") {
	case "flower":
		args = append([]string{"monitor"}, args...)
	case "celery":
		args = append([]string{"celery"}, args...)
	}
	if len(args) > 0 && args[0] == "celery" {
		args = hoist(args[1:])
	}
	if len(args) > 0 && args[0] == "flower" {
		args[0] = "monitor"
	}
	return args
}

// celeryValues are Celery's global options that take a value of their own.
var celeryValues = map[string]bool{
	"-A": true, "--app": true, "-b": true, "--broker": true, "--result-backend": true,
	"--loader": true, "--config": true, "--workdir": true,
}

// hoist moves the command in front of the global options.
func hoist(args []string) []string {
	for i := 0; i < len(args); i++ {
		if celeryValues[args[i]] {
			i++
			continue
		}
		if !strings.HasPrefix(args[i], "-") {
			out := append([]string{args[i]}, args[:i]...)
			return append(out, args[i+1:]...)
		}
	}
	return args
}

// underscores lets options be written as Flower's (--max_tasks) and as Celery's
// (--max-tasks).
func underscores(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

// withoutUnknown takes the long options that flags does not know out of args, as
// Flower ignores them, and returns their names. An option without "=" takes the
// next word with it unless that is an option too.
func withoutUnknown(flags *pflag.FlagSet, args []string) (kept, unknown []string) {
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok || name == "" {
			kept = append(kept, args[i])
			continue
		}
		name, _, hasValue := strings.Cut(name, "=")
		flag := flags.Lookup(name)
		switch {
		case flag != nil:
			kept = append(kept, args[i])
			if !hasValue && flag.NoOptDefVal == "" && i+1 < len(args) {
				i++
				kept = append(kept, args[i])
			}
		case name == "help":
			kept = append(kept, args[i])
		default:
			unknown = append(unknown, "--"+name)
			if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
			}
		}
	}
	return kept, unknown
}
