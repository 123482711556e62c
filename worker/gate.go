package worker

import (
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// verdict is what the gate says of a task before it may take a slot's time.
type verdict int

const (
	ready      verdict = iota
	unknown            // not registered here
	isRevoked          // its id was revoked
	hasExpired         // too late
	notDue             // its eta lies ahead
)

// gate decides on a decoded task; it is the only place where that is done. The
// order is Celery's: revoked and expired go before eta.
func gate(t *protocol.Task, registered, revoked bool, now time.Time) verdict {
	switch {
	case !registered:
		return unknown
	case revoked:
		return isRevoked
	case !t.Expires.IsZero() && now.After(t.Expires):
		return hasExpired
	case t.ETA.After(now):
		return notDue
	}
	return ready
}
