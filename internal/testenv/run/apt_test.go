package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestForbidServicesLeavesTheMachineAsItWas(t *testing.T) {
	for _, tc := range []struct{ name, before, during, after string }{
		{"no policy", "", policy, ""},
		{"left by a run that was killed", policy, policy, ""},
		{"the machine's own", "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 0\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "policy-rc.d")
			if tc.before != "" {
				if err := os.WriteFile(file, []byte(tc.before), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			content := func() string {
				text, err := os.ReadFile(file)
				if err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
				return string(text)
			}
			restore, err := forbidServices(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := content(); got != tc.during {
				t.Errorf("during the installation: %q", got)
			}
			restore()
			if got := content(); got != tc.after {
				t.Errorf("after it: %q", got)
			}
		})
	}
}
