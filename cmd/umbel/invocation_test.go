package main

import (
	"errors"
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
