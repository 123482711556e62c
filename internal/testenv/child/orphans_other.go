//go:build !linux

package child

import "context"

// AdoptOrphans does nothing here: only Linux hands orphans over.
func AdoptOrphans(context.Context) error { return nil }

// EndOrphans finds nothing here: only Linux hands orphans over.
func EndOrphans() []string { return nil }
