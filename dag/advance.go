package dag

import (
	"fmt"
	"time"
)

// Advance applies reports to a run, moves everything that can move and says what
// must be written. It changes r in place and does no I/O; the same run and
// reports always give the same step.
//
// Every report is checked against the attempt that it is about, so a report that
// comes twice, late or out of order changes nothing. Within a step each node is
// released at most once. A run ends when none of its nodes can move any more;
// reports are applied before the run's timeout is looked at, so that a run whose
// last task has finished never times out.
func Advance(r *Run, seen []Observation, now time.Time) Step {
	a := advance{r: r, now: now, before: map[int]bool{}}
	if r.State.Terminal() {
		for _, o := range seen {
			a.late(o)
		}
		return a.step
	}
	if r.State == RunPending {
		r.State, r.Started = RunRunning, now
		a.event("", string(RunRunning), "")
		for i := range r.Nodes {
			if r.Nodes[i].DepsLeft == 0 {
				a.release(i)
			}
		}
	}
	for _, o := range seen {
		a.observe(o)
	}
	a.checkStop()
	for i := range r.Nodes {
		a.due(i)
	}
	a.dispatch()
	a.finish()
	a.step.Wake = a.wake()
	r.Updated = now
	return a.step
}

// advance is one call of Advance.
type advance struct {
	r      *Run
	now    time.Time
	step   Step
	before map[int]bool // nodes that are in step.Changed
}

// touch returns the node for a change, keeping what it was as the guard.
func (a *advance) touch(i int) *NodeRun {
	n := &a.r.Nodes[i]
	if !a.before[i] {
		a.before[i] = true
		a.step.Changed = append(a.step.Changed, Guard{Node: i, State: n.State, Attempt: n.Attempt})
	}
	return n
}

func (a *advance) event(node, kind, text string) {
	a.step.Events = append(a.step.Events, Event{Node: node, Kind: kind, Text: text})
}

// set moves a node and writes its history.
func (a *advance) set(i int, state NodeState, reason string) *NodeRun {
	n := a.touch(i)
	n.State, n.Reason, n.DueAt = state, reason, time.Time{}
	if state.Terminal() {
		n.EndedAt = a.now
	}
	a.event(n.Name, string(state), reason)
	return n
}

func (a *advance) late(o Observation) {
	if o.Kind.Terminal() {
		a.event(o.Node, "late", fmt.Sprintf("%s of attempt %d changed nothing", o.Kind, o.Attempt))
	}
}

func (a *advance) release(i int) { a.set(i, NodeReady, "").ReadyAt = a.now }

// succeed ends a node well and releases what waited for it alone.
func (a *advance) succeed(i int) {
	a.set(i, NodeSucceeded, "")
	for _, next := range a.r.Plan().Next[i] {
		n := a.touch(next)
		n.DepsLeft--
		if n.DepsLeft == 0 && n.State == NodeWaiting {
			a.release(next)
		}
	}
}

// fail ends a node badly, and with it everything that depends on it. The walk
// visits each node once: a node that was reached is no longer waiting.
func (a *advance) fail(i int, stat, reason string) {
	n := a.set(i, NodeFailed, reason)
	n.RetStat = stat
	if n.Error == "" {
		n.Error = reason
	}
	stack := append([]int(nil), a.r.Plan().Next[i]...)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if a.r.Nodes[at].State != NodeWaiting {
			continue
		}
		a.set(at, NodeUpstreamFailed, "node "+n.Name+" failed").RetStat = StatUpstreamFailed
		stack = append(stack, a.r.Plan().Next[at]...)
	}
}

// failAttempt gives the node another attempt while it has some left.
func (a *advance) failAttempt(i int, stat, reason string) {
	n, spec := &a.r.Nodes[i], &a.r.Def.Nodes[i]
	if n.Attempt > spec.Retries || a.r.Desired == DesiredCancel {
		a.fail(i, stat, reason)
		return
	}
	n = a.set(i, NodeUpForRetry, reason)
	n.RetStat = stat
	n.DueAt = a.now.Add(time.Duration(spec.RetryDelay))
}

// due does what a node's clock asks for.
func (a *advance) due(i int) {
	n, spec := &a.r.Nodes[i], &a.r.Def.Nodes[i]
	if n.State == NodeUpForRetry && !n.DueAt.After(a.now) {
		a.release(i)
		return
	}
	if deadline := a.deadline(i); n.State == NodeRunning && !deadline.IsZero() && !deadline.After(a.now) {
		reason := fmt.Sprintf("still running %s after its timeout of %s", timeoutGrace, spec.Timeout)
		a.step.Revoke = append(a.step.Revoke, n.TaskID)
		a.verdict(n.TaskID, string(NodeFailed), reason)
		a.failAttempt(i, StatTaskTimeout, reason)
		a.due(i)
	}
}

// deadline is when a running attempt is given up although its worker should have
// enforced the limit; zero without a timeout.
func (a *advance) deadline(i int) time.Time {
	n, spec := &a.r.Nodes[i], &a.r.Def.Nodes[i]
	if spec.Timeout <= 0 || n.StartedAt.IsZero() {
		return time.Time{}
	}
	return n.StartedAt.Add(time.Duration(spec.Timeout) + timeoutGrace)
}

// dispatch sends every node that is ready, in the order of the definition. A node
// whose arguments cannot be computed fails without an attempt.
func (a *advance) dispatch() {
	r := a.r
	if r.Desired != DesiredRun {
		return
	}
	a.failFast()
	for i := range r.Nodes {
		if r.Nodes[i].State != NodeReady {
			continue
		}
		call, err := r.Resolve(i)
		if err != nil {
			a.fail(i, StatBadParams, err.Error())
			a.failFast()
			continue
		}
		n := a.set(i, NodeDispatching, "")
		n.Attempt++
		n.TaskID = AttemptID(r.UUID, n.Name, n.Item, n.Attempt)
		n.Kwargs, n.Worker, n.Error, n.Traceback = call.Object(), "", "", ""
		n.StartedAt, n.QueuedAt, n.RetStat = time.Time{}, time.Time{}, StatOK
		a.step.Publish = append(a.step.Publish, Publish{Node: i, TaskID: n.TaskID, Call: call})
	}
}

// failFast cancels what has not been sent once a node has failed, if the
// definition says so; what is out may finish.
func (a *advance) failFast() {
	failed := ""
	for i := range a.r.Nodes {
		if a.r.Nodes[i].State == NodeFailed {
			failed = a.r.Nodes[i].Name
		}
	}
	if failed == "" || !a.r.Def.FailFast {
		return
	}
	for i := range a.r.Nodes {
		switch a.r.Nodes[i].State {
		case NodeWaiting, NodeReady, NodeUpForRetry:
			a.cancelNode(i, "not started, because node "+failed+" failed")
		}
	}
}

func (a *advance) verdict(taskID, state, text string) {
	a.step.Verdicts = append(a.step.Verdicts, Verdict{TaskID: taskID, State: state, Error: text})
}

// wake is the nearest time that something of the run is due.
func (a *advance) wake() time.Time {
	if a.r.State.Terminal() {
		return time.Time{}
	}
	var wake time.Time
	soonest := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	if a.r.Timeout > 0 && a.r.StopAt.IsZero() {
		soonest(a.r.Started.Add(a.r.Timeout))
	}
	for i := range a.r.Nodes {
		soonest(a.r.Nodes[i].DueAt)
		if a.r.Nodes[i].State == NodeRunning {
			soonest(a.deadline(i))
		}
	}
	return wake
}
