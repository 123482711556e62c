package dag

import (
	"fmt"

	"github.com/google/uuid"
)

// attemptSpace is the namespace of all attempt ids.
var attemptSpace = uuid.MustParse("6f2f4f0e-6b53-5d0c-9d58-8a8a7d2f3c11")

// AttemptID is the Celery task id of one attempt of one node: the same for every
// publication of the attempt, so that a repeated one can be recognised, and a new
// one for every attempt, because workers remember revoked ids and backends never
// overwrite a stored SUCCESS.
func AttemptID(runUUID, node string, item, attempt int) string {
	return uuid.NewSHA1(attemptSpace, fmt.Appendf(nil, "%s|%s|%d|%d", runUUID, node, item, attempt)).String()
}
