package dag

import (
	"time"

	"github.com/umbel-go/umbel/protocol"
)

// MaxInline is the longest result, in bytes, that is copied into the run.
const MaxInline = 64 << 10

// LostAfter is the default time that a worker may be silent before what it runs
// is declared lost.
const LostAfter = 3 * time.Minute

// Times of the backstops; see Advance.
const (
	revokeAgain  = 30 * time.Second // between two revokes of one attempt
	cancelGrace  = 3 * time.Minute  // until a silent attempt of a cancelled run counts as stopped
	timeoutGrace = 30 * time.Second // for the worker to enforce a node's timeout itself
)

// Run is one execution of a definition: a snapshot that [Advance] works on. The
// engine alone changes runs; everybody else reads.
type Run struct {
	ID      int64  // public id, XingQiao's job_id
	UUID    string // root_id of all its tasks
	Def     *Definition
	Version int // of the definition

	State   RunState
	Desired Desired
	// Epoch counts starts: 1, and one more for every retry.
	Epoch  int
	Inputs protocol.Raw // object
	// RetStat and RetData are the verdict in XingQiao's words; RetStat is OK
	// until something else is known.
	RetStat string
	RetData protocol.Raw
	// Reason says in words why the run ended or is being stopped.
	Reason string

	Created, Started, Ended, Updated time.Time
	Timeout                          time.Duration
	// StopAt is when stopping began, zero when nobody asked.
	StopAt time.Time
	Origin

	Nodes []NodeRun // as in Def.Nodes

	plan *Plan
}

// Origin says who started a run and under what names; all of it is free text.
type Origin struct {
	Name      string // unique among runs when not empty
	Namespace string
	ReqID     string
	Client    string // address of the caller
	Operator  string
	Tags      string // "k=v,k2=v2"
	Source    string // api, xingqiao, demo ...
}

// NodeRun is one node of a run.
type NodeRun struct {
	ID   int64 // public id, XingQiao's task_id
	Name string
	Item int // of a mapped node; 0 for others

	State  NodeState
	Reason string
	// DepsLeft counts the direct dependencies that have not succeeded yet.
	DepsLeft int
	// Attempt is the number of the current or last attempt, 0 before the first,
	// TaskID its Celery task.
	Attempt int
	TaskID  string
	// DueAt is when the node must be looked at again: its next attempt, or the
	// next revoke while the run is being stopped.
	DueAt time.Time

	// Kwargs is what the last attempt was sent as keyword arguments.
	Kwargs protocol.Raw
	// Result is the task's result as it is, null when it has none yet; ResultRef
	// is the task id under which the backend has a result too large to copy.
	Result    protocol.Raw
	ResultRef string
	RetStat   string
	RetData   protocol.Raw
	Error     string // exception or other cause, in words
	Traceback string
	Worker    string
	Runtime   float64 // seconds on the worker, 0 when unknown

	ReadyAt, QueuedAt, StartedAt, EndedAt time.Time
}

// Plan is the graph of the run's definition.
func (r *Run) Plan() *Plan {
	if r.plan == nil {
		r.plan = r.Def.Plan()
	}
	return r.plan
}

// NewRun is a run that has not begun. inputs must have passed CheckInputs.
func NewRun(def *Definition, version int, uuid string, inputs protocol.Raw, now time.Time) *Run {
	r := &Run{
		UUID: uuid, Def: def, Version: version, State: RunPending, Desired: DesiredRun, Epoch: 1,
		Inputs: inputs, RetStat: StatOK, Created: now, Started: now, Updated: now,
		Timeout: time.Duration(def.Timeout), Nodes: make([]NodeRun, len(def.Nodes)),
	}
	for i := range def.Nodes {
		r.Nodes[i] = NodeRun{
			Name: def.Nodes[i].Name, State: NodeWaiting, RetStat: StatOK,
			DepsLeft: len(r.Plan().Prev[i]),
		}
	}
	return r
}

// Kind is what an observation tells.
type Kind string

// Kinds of observations of an attempt.
const (
	SeenPublished Kind = "published" // the broker has the message
	SeenReceived  Kind = "received"  // a worker has the message
	SeenStarted   Kind = "started"   // the body runs
	SeenRetry     Kind = "retry"     // the task itself asked for another try under the same id
	SeenSuccess   Kind = "success"
	SeenFailure   Kind = "failure"
	SeenRevoked   Kind = "revoked"
	SeenLost      Kind = "lost" // its worker vanished
)

// Terminal reports whether the kind is a verdict on the attempt.
func (k Kind) Terminal() bool {
	return k == SeenSuccess || k == SeenFailure || k == SeenRevoked || k == SeenLost
}

// Observation is one report about one attempt. Reports may come late, twice, in
// any order or not at all.
type Observation struct {
	TaskID  string
	Node    string // with Item and Attempt: found from TaskID by the store
	Item    int
	Attempt int
	Kind    Kind
	At      time.Time
	Worker  string
	Runtime float64
	// Result is set for SeenSuccess; ResultRef instead when it is too large.
	Result    protocol.Raw
	ResultRef string
	// ErrorType, Error and Traceback are set for SeenFailure.
	ErrorType string
	Error     string
	Traceback string
}

// Publish asks for one attempt to be sent.
type Publish struct {
	Node   int
	TaskID string
	Call   Call
}

// Event is one line of a run's history.
type Event struct {
	Node string // "" for the run
	Kind string // the new state, or "late" for a report that changed nothing
	Text string
}

// Guard is what a node looked like before a step: the write must find it so.
type Guard struct {
	Node    int
	State   NodeState
	Attempt int
}

// Verdict closes an attempt.
type Verdict struct {
	TaskID string
	State  string // succeeded, failed, cancelled, lost
	Error  string
}

// Step is what Advance decided and the store must write in one transaction.
type Step struct {
	Changed   []Guard // nodes to write, guarded
	Publish   []Publish
	Unpublish []string // task ids whose message must not leave any more
	Revoke    []string // task ids
	Verdicts  []Verdict
	Events    []Event
	// Wake is when the run must be looked at again; zero when only a report can
	// move it or it is over.
	Wake time.Time
}
