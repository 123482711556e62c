package dag

// NodeState is where a node of a run stands.
type NodeState string

// States of a node. The order of a good life is waiting, ready, dispatching,
// queued, running, succeeded.
const (
	NodeWaiting        NodeState = "waiting"         // a dependency is not over
	NodeReady          NodeState = "ready"           // may be dispatched
	NodeDispatching    NodeState = "dispatching"     // its task lies in the outbox
	NodeQueued         NodeState = "queued"          // the broker has its task
	NodeRunning        NodeState = "running"         // a worker has started it
	NodeUpForRetry     NodeState = "up_for_retry"    // failed or lost, another attempt follows
	NodeSucceeded      NodeState = "succeeded"       // terminal
	NodeFailed         NodeState = "failed"          // terminal
	NodeUpstreamFailed NodeState = "upstream_failed" // terminal: something before it failed
	NodeSkipped        NodeState = "skipped"         // terminal
	NodeCancelled      NodeState = "cancelled"       // terminal
)

// Terminal reports whether the node is over.
func (s NodeState) Terminal() bool {
	switch s {
	case NodeSucceeded, NodeFailed, NodeUpstreamFailed, NodeSkipped, NodeCancelled:
		return true
	}
	return false
}

// InFlight reports whether an attempt of the node is out.
func (s NodeState) InFlight() bool {
	return s == NodeDispatching || s == NodeQueued || s == NodeRunning
}

// RunState is where a run stands.
type RunState string

// States of a run.
const (
	RunPending    RunState = "pending" // created, not yet looked at
	RunRunning    RunState = "running"
	RunCancelling RunState = "cancelling" // being stopped, some attempts are still out
	RunSucceeded  RunState = "succeeded"  // terminal
	RunFailed     RunState = "failed"     // terminal
	RunTimedOut   RunState = "timed_out"  // terminal
	RunCancelled  RunState = "cancelled"  // terminal
)

// Terminal reports whether the run is over.
func (s RunState) Terminal() bool {
	switch s {
	case RunSucceeded, RunFailed, RunTimedOut, RunCancelled:
		return true
	}
	return false
}

// Desired is what people asked of a run; it outlives restarts.
type Desired string

// What can be asked of a run.
const (
	DesiredRun    Desired = "run"
	DesiredCancel Desired = "cancel"
)

// AttemptLost is the state of an attempt whose worker vanished; the node itself
// goes on to another attempt or fails.
const AttemptLost = "lost"

// Result codes, XingQiao's vocabulary (ret_stat).
const (
	StatOK              = "OK"
	StatSkipped         = "SKIPPED"
	StatBadParams       = "ERR_BAD_PARAMS"
	StatException       = "ERR_SERVER_EXCEPTION"
	StatTaskTimeout     = "ERR_TASK_TIMEOUT"
	StatTaskCancelled   = "ERR_TASK_CANCELLED"
	StatTaskLost        = "ERR_TASK_LOST"
	StatUpstreamFailed  = "ERR_UPSTREAM_FAILED"
	StatMissingProvides = "ERR_TASK_PROVIDES"
	StatJobFailed       = "ERR_JOB_EXE_FAILED"
	StatJobTimeout      = "ERR_JOB_EXE_TIMEOUT"
	StatJobCancelled    = "ERR_JOB_CANCELLED"
)
