package interop

import (
	"testing"

	"github.com/umbel-go/umbel/internal/testenv"
)

// TestChecksHoldForCelery runs the checks of the Go worker against Python
// workers: what a Python worker does not do, nobody can ask of ours, and a check
// that asks for it is wrong.
func TestChecksHoldForCelery(t *testing.T) {
	testenv.RequireFull(t)
	for _, c := range columns() {
		t.Run(c.version+"/"+c.stage, func(t *testing.T) {
			t.Parallel()
			s := stages[c.stage](t)
			startPython(t, s, c.venv)
			r := &rig{peer: startPeer(t, s, c.venv)}
			for _, b := range behaviours() {
				if b.check == "" || b.side != "go" || b.group == groupFleet || b.ours || b.applies(c) != "" {
					continue
				}
				b.side = "py"
				t.Run(b.key(), func(t *testing.T) {
					if err := b.try(t, r); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}
