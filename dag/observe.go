package dag

import "github.com/umbel-go/umbel/protocol"

// observe applies one report to the node that it is about.
func (a *advance) observe(o Observation) {
	i := a.r.Plan().Index(o.Node)
	if i < 0 || o.Attempt < 1 {
		return
	}
	n := &a.r.Nodes[i]
	current := o.Attempt == n.Attempt && n.State.InFlight()
	switch {
	case current && o.Kind == SeenSuccess:
		a.success(i, o)
	case current && o.Kind.Terminal():
		a.unsuccessful(i, o)
	case current:
		a.progress(i, o)
	case o.Kind == SeenSuccess && o.Attempt <= n.Attempt && a.adoptable(n):
		a.adopt(i, o)
	default:
		a.late(o)
	}
}

// adoptable reports whether a late success of an earlier attempt still counts:
// the attempt that replaced it has not begun to run.
func (a *advance) adoptable(n *NodeRun) bool {
	switch n.State {
	case NodeUpForRetry, NodeReady, NodeDispatching, NodeQueued:
		return true
	}
	return false
}

func (a *advance) adopt(i int, o Observation) {
	n := a.touch(i)
	if n.State == NodeDispatching || n.State == NodeQueued {
		a.step.Unpublish = append(a.step.Unpublish, n.TaskID)
		a.step.Revoke = append(a.step.Revoke, n.TaskID)
		a.verdict(n.TaskID, string(NodeCancelled), "an earlier attempt succeeded after all")
	}
	n.TaskID = o.TaskID
	a.success(i, o)
}

// progress moves forward only: a node never goes back from running to queued.
func (a *advance) progress(i int, o Observation) {
	n := &a.r.Nodes[i]
	switch o.Kind {
	case SeenPublished, SeenReceived:
		if n.State != NodeDispatching && (o.Worker == "" || n.Worker != "") {
			return
		}
		n = a.touch(i)
		if n.State == NodeDispatching {
			a.set(i, NodeQueued, "").QueuedAt = o.At
		}
	case SeenStarted, SeenRetry:
		n = a.touch(i)
		if n.State != NodeRunning {
			a.set(i, NodeRunning, "")
		}
		if n.StartedAt.IsZero() {
			n.StartedAt = o.At
		}
		if n.QueuedAt.IsZero() {
			n.QueuedAt = o.At
		}
		if o.Kind == SeenRetry {
			n.Reason = "the task asked to be retried"
		}
	}
	if o.Worker != "" {
		n.Worker = o.Worker
	}
}

// success ends the attempt well. Under [ReplyXingQiao] a code other than OK is a
// failure; everywhere a reply without a promised member is one.
func (a *advance) success(i int, o Observation) {
	n, spec := a.touch(i), &a.r.Def.Nodes[i]
	reply := ReadReply(o.Result)
	n.Result, n.ResultRef, n.RetStat, n.RetData = o.Result, o.ResultRef, reply.Stat, reply.Data
	if o.ResultRef != "" {
		n.RetStat, n.RetData = StatOK, nil
	}
	a.note(n, o)
	if a.r.Def.Reply == ReplyXingQiao && n.RetStat != StatOK {
		a.verdict(o.TaskID, string(NodeFailed), n.RetStat)
		a.failAttempt(i, n.RetStat, "the task answered "+n.RetStat)
		return
	}
	if name := reply.missing(spec.Provides); name != "" && o.ResultRef == "" {
		text := "the reply lacks " + name + ", which the node promises (provides)"
		a.verdict(o.TaskID, string(NodeFailed), text)
		a.failAttempt(i, StatMissingProvides, text)
		return
	}
	if a.r.Def.Reply != ReplyXingQiao {
		n.RetStat = StatOK
	}
	a.verdict(o.TaskID, string(NodeSucceeded), "")
	a.succeed(i)
}

// note copies what every final report tells.
func (a *advance) note(n *NodeRun, o Observation) {
	if o.Worker != "" {
		n.Worker = o.Worker
	}
	if n.StartedAt.IsZero() {
		n.StartedAt = n.QueuedAt
	}
	if n.StartedAt.IsZero() {
		n.StartedAt = a.now
	}
	if n.Runtime = o.Runtime; n.Runtime == 0 {
		n.Runtime = max(0, a.now.Sub(n.StartedAt).Seconds())
	}
	n.Error, n.Traceback = o.Error, o.Traceback
}

// unsuccessful ends the attempt badly.
func (a *advance) unsuccessful(i int, o Observation) {
	n := a.touch(i)
	a.note(n, o)
	switch o.Kind {
	case SeenRevoked:
		if a.r.Desired == DesiredCancel {
			a.verdict(o.TaskID, string(NodeCancelled), a.r.Reason)
			a.set(i, NodeCancelled, a.r.Reason).RetStat = StatTaskCancelled
			return
		}
		a.verdict(o.TaskID, string(NodeFailed), "revoked from outside")
		a.fail(i, StatTaskCancelled, "the task was revoked from outside the workflow")
	case SeenLost:
		text := "worker " + n.Worker + " vanished while it ran the task"
		a.verdict(o.TaskID, AttemptLost, text)
		a.step.Revoke = append(a.step.Revoke, o.TaskID)
		a.failAttempt(i, StatTaskLost, text)
	default:
		n.RetData, _ = protocol.Marshal(protocol.Object{ // strings cannot fail
			{Name: "exc_type", Value: o.ErrorType}, {Name: "exc_message", Value: o.Error},
		})
		a.verdict(o.TaskID, string(NodeFailed), o.Error)
		a.failAttempt(i, failureStat(o.ErrorType), o.ErrorType+": "+o.Error)
	}
}

func failureStat(errorType string) string {
	switch errorType {
	case "TimeLimitExceeded", "SoftTimeLimitExceeded":
		return StatTaskTimeout
	case "TaskRevokedError":
		return StatTaskCancelled
	}
	return StatException
}
