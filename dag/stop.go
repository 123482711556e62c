package dag

import (
	"fmt"
	"strings"
	"time"
)

// checkStop starts and carries on the stopping of a run, because somebody asked
// for it or its time is over. What has not left is cancelled at once; what is out
// is revoked, again every 30 s, until it ends or three minutes have passed
// without a word.
func (a *advance) checkStop() {
	r := a.r
	if r.Desired == DesiredRun && a.overdue() {
		r.Desired, r.RetStat = DesiredCancel, StatJobTimeout
		r.Reason = fmt.Sprintf("not over after its timeout of %s", r.Timeout)
	}
	if r.Desired != DesiredCancel {
		return
	}
	if r.StopAt.IsZero() {
		r.StopAt, r.State = a.now, RunCancelling
		if r.RetStat == StatOK {
			r.RetStat = StatJobCancelled
		}
		if r.Reason == "" {
			r.Reason = "cancelled"
		}
		a.event("", string(RunCancelling), r.Reason)
	}
	for i := range r.Nodes {
		a.stopNode(i)
	}
}

// overdue reports whether the run's timeout is over and some node is not.
func (a *advance) overdue() bool {
	r := a.r
	if r.Timeout <= 0 || a.now.Before(r.Started.Add(r.Timeout)) {
		return false
	}
	for i := range r.Nodes {
		if !r.Nodes[i].State.Terminal() {
			return true
		}
	}
	return false
}

func (a *advance) stopNode(i int) {
	n := &a.r.Nodes[i]
	switch n.State {
	case NodeWaiting, NodeReady, NodeUpForRetry:
		a.cancelNode(i, a.r.Reason)
	case NodeDispatching:
		a.step.Unpublish = append(a.step.Unpublish, n.TaskID)
		a.step.Revoke = append(a.step.Revoke, n.TaskID)
		a.verdict(n.TaskID, string(NodeCancelled), a.r.Reason)
		a.cancelNode(i, a.r.Reason)
	case NodeQueued, NodeRunning:
		switch {
		case !a.now.Before(a.r.StopAt.Add(cancelGrace)):
			a.verdict(n.TaskID, string(NodeCancelled), "no answer to the revoke")
			a.cancelNode(i, a.r.Reason+"; no worker answered the revoke")
		case !n.DueAt.After(a.now):
			a.step.Revoke = append(a.step.Revoke, n.TaskID)
			n = a.touch(i)
			n.DueAt = a.now.Add(revokeAgain)
			n.Reason = "being stopped: " + a.r.Reason
		}
	}
}

func (a *advance) cancelNode(i int, reason string) {
	a.set(i, NodeCancelled, reason).RetStat = StatTaskCancelled
}

// finish gives the verdict once nothing can move any more.
func (a *advance) finish() {
	r := a.r
	var failed *NodeRun
	for i := range r.Nodes {
		if !r.Nodes[i].State.Terminal() {
			return
		}
		if failed == nil && r.Nodes[i].State == NodeFailed {
			failed = &r.Nodes[i]
		}
	}
	switch {
	case failed != nil && r.Desired == DesiredRun:
		r.State, r.RetStat = RunFailed, StatJobFailed
		if strings.HasPrefix(failed.RetStat, "ERR_") {
			r.RetStat = failed.RetStat
		}
		r.Reason = "node " + failed.Name + ": " + failed.Reason
	case a.allSucceeded():
		r.State, r.RetStat, r.Reason = RunSucceeded, StatOK, ""
	case r.RetStat == StatJobTimeout:
		r.State = RunTimedOut
	default:
		r.State = RunCancelled
	}
	for i := range r.Nodes {
		if r.Def.Nodes[i].IsSave && r.Nodes[i].State == NodeSucceeded && r.Nodes[i].ResultRef == "" {
			r.RetData = ReadReply(r.Nodes[i].Result).Saved()
		}
	}
	r.Ended = a.now
	a.event("", string(r.State), r.Reason)
}

func (a *advance) allSucceeded() bool {
	for i := range a.r.Nodes {
		if s := a.r.Nodes[i].State; s != NodeSucceeded && s != NodeSkipped {
			return false
		}
	}
	return true
}

// Duration is how long the run took or has taken by now.
func (r *Run) Duration(now time.Time) time.Duration {
	if !r.Ended.IsZero() {
		now = r.Ended
	}
	return max(0, now.Sub(r.Started))
}
