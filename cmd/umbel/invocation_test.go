package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestCanonical(t *testing.T) {
	tests := []struct{ argv, want string }{
		{"umbel up --demo", "up --demo"},
		{"umbel flower --port=1", "monitor --port=1"},
		{"/usr/bin/flower --port=1", "monitor --port=1"},
		{"/usr/bin/celery -A proj flower --port=1", "monitor -A proj --port=1"},
		{"umbel celery -A proj --broker=redis://x flower --basic_auth=a:b", "monitor -A proj --broker=redis://x --basic_auth=a:b"},
		{"umbel celery --broker redis://x worker -c 2", "worker --broker redis://x -c 2"},
		{"umbel celery -A flower worker", "worker -A flower"},
		{"celery", ""},
		{"umbel", ""},
	}
	for _, tt := range tests {
		if got := strings.Join(canonical(strings.Fields(tt.argv)), " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.argv, got, tt.want)
		}
	}
}

func TestWithoutUnknown(t *testing.T) {
	flags := pflag.NewFlagSet("monitor", pflag.ContinueOnError)
	flags.SetNormalizeFunc(underscores)
	flags.Int("max-tasks", 0, "")
	flags.Bool("persistent", false, "")
	flags.StringP("app", "A", "", "")
	tests := []struct{ args, kept, unknown string }{
		{"--max_tasks=5 -A x", "--max_tasks=5 -A x", ""},
		{"--max-tasks 5 --persistent --nope", "--max-tasks 5 --persistent", "--nope"},
		{"--nope value --max_tasks 5", "--max_tasks 5", "--nope"},
		{"--nope=value --other -A x", "-A x", "--nope --other"},
		{"--help", "--help", ""},
		{"--max_tasks", "--max_tasks", ""},
	}
	for _, tt := range tests {
		kept, unknown := withoutUnknown(flags, strings.Fields(tt.args))
		if strings.Join(kept, " ") != tt.kept || strings.Join(unknown, " ") != tt.unknown {
			t.Errorf("%s: kept %v, unknown %v", tt.args, kept, unknown)
		}
	}
}

func TestJSONOptions(t *testing.T) {
	g := &globals{brokerOptions: `{"global_keyprefix": "shop:"}`, backendOptions: `{"result_expires": 60}`}
	c, err := g.connection()
	if err != nil || c.Broker != defaultBroker || c.BrokerOptions["global_keyprefix"] != "shop:" || c.BackendOptions["result_expires"] != 60.0 {
		t.Errorf("got %+v, %v", c, err)
	}
	var usage *usageError
	for _, bad := range []string{"x", "[]", "1", `{"a":`} {
		if _, err := (&globals{backendOptions: bad}).connection(); !errors.As(err, &usage) {
			t.Errorf("%q gives %v, want a usage error", bad, err)
		}
	}
}

// Bad JSON is blamed on what it was given by.
func TestJSONOptionsNamesItsSource(t *testing.T) {
	t.Setenv(envBackendOptions, "{")
	for text, want := range map[string]string{"{": envBackendOptions + " is not", "[": "--result-backend-options is not"} {
		if _, err := (&globals{backendOptions: text}).connection(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestUnknownOptionIsUsage(t *testing.T) {
	for _, args := range [][]string{
		{"dlq", "list", "-b", "redis://127.0.0.1:1", "--broker-transport-options", `{"visiblity_timeout": 5}`},
		{"call", "x", "-b", "redis://127.0.0.1:1", "--result-backend-options", `{"result_expire": 5}`},
	} {
		root := newRoot()
		root.SetArgs(args)
		err := root.Execute()
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%q: %v ends with %d", args, err, exitCode(err))
		}
	}
}

func TestCallRefuses(t *testing.T) {
	for _, bad := range []string{
		"", "--expires=-1 t", "--countdown NaN t", "--countdown 1e300 t", "--eta garbage t", "--wait -5s t",
		"--eta 2026-01-01T00:00:00 --countdown 1 t", "--queue a --exchange b t", "-a x t", "-k [] t", "t t",
	} {
		root := newRoot()
		root.SetArgs(append([]string{"call"}, strings.Fields(bad)...))
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		var usage *usageError
		if err := root.Execute(); !errors.As(err, &usage) {
			t.Errorf("call %s gives %v, want a usage error", bad, err)
		}
	}
}
