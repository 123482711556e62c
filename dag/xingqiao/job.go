package xingqiao

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/dag/engine"
	"github.com/umbel-go/umbel/dag/store"
	"github.com/umbel-go/umbel/protocol"
)

// createJob checks in XingQiao's order: name, type, extra, then the plugin.
func (h *handlers) createJob(ctx context.Context, c *call) (string, protocol.Object, error) {
	job, err := c.job()
	if err != nil {
		return statBadParams, nil, err
	}
	if job.Name != "" {
		switch _, err := h.cfg.Engine.Store().RunByName(ctx, job.Name); {
		case err == nil:
			return statJobExists, nil, nil
		case !errors.Is(err, store.ErrNotFound):
			return "", nil, err
		}
	}
	plugin, ok := h.cfg.Plugins.plugin(job.Type)
	if !ok {
		return statTypeUnknown, nil, nil
	}
	if job.Extra, err = c.extra(); err != nil {
		return statExtraInvalid, nil, nil
	}
	def, err := build(plugin, job)
	if err != nil {
		return statCreateFailed, nil, err
	}
	return h.start(ctx, c, job, def)
}

func (h *handlers) start(ctx context.Context, c *call, job *Job, def *dag.Definition) (string, protocol.Object, error) {
	inputs, err := protocol.Marshal(job.Extra)
	if err != nil {
		return statExtraInvalid, nil, nil
	}
	if job.Name == "" {
		job.Name = c.reqID
	}
	run, err := h.cfg.Engine.Start(ctx, engine.Start{
		Definition: def, Inputs: inputs, AnyInputs: true, Timeout: job.Timeout,
		Origin: dag.Origin{
			Name: job.Name, Namespace: job.Namespace, ReqID: c.reqID, Client: c.client, Operator: c.operator,
			Tags: job.Tags, Source: "xingqiao",
		},
	})
	var problems dag.Problems
	switch {
	case err == nil:
		return statOK, protocol.Object{{Name: "job_id", Value: run.ID}}, nil
	case errors.Is(err, store.ErrNameTaken):
		return statJobExists, nil, nil
	case errors.As(err, &problems):
		return statCreateFailed, nil, err
	}
	return "", nil, err
}

// job reads the parameters of create_job but job_extra.
func (c *call) job() (*Job, error) {
	err := c.allow("job_namespace", "job_type", "job_name", "job_extra", "job_timeout", "job_tags")
	if err != nil {
		return nil, err
	}
	job := &Job{Timeout: defaultJobTimeout, Operator: c.operator}
	var errs [4]error
	job.Namespace, errs[0] = c.required("job_namespace")
	job.Type, errs[1] = c.required("job_type")
	job.Name, errs[2] = c.text("job_name")
	job.Tags, errs[3] = c.text("job_tags")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	timeout, given, err := c.number("job_timeout")
	if err != nil {
		return nil, err
	}
	if given {
		if timeout < 0 || timeout > math.MaxInt32 {
			return nil, errors.New("parameter job_timeout is out of range")
		}
		job.Timeout = time.Duration(timeout) * time.Second
	}
	return job, nil
}

// find reads the job that job_id or job_name means; nil when there is none.
func (h *handlers) find(ctx context.Context, c *call) (run *dag.Run, stat string, err error) {
	id, byID, err := c.number("job_id")
	if err != nil {
		return nil, statBadParams, err
	}
	name, err := c.text("job_name")
	if err != nil {
		return nil, statBadParams, err
	}
	switch {
	case byID:
		run, err = h.cfg.Engine.Store().Run(ctx, id)
	case name != "":
		run, err = h.cfg.Engine.Store().RunByName(ctx, name)
	default:
		return nil, statBadParams, errors.New("job_id or job_name is required")
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, statJobNotExist, nil
	}
	if err != nil {
		return nil, "", err
	}
	return run, statOK, nil
}

func (h *handlers) jobDetail(ctx context.Context, c *call) (string, protocol.Object, error) {
	if err := c.allow("job_id", "job_name"); err != nil {
		return statBadParams, nil, err
	}
	run, stat, err := h.find(ctx, c)
	if stat == statJobNotExist {
		return stat, data(protocol.Object{}), nil
	}
	if stat != statOK {
		return stat, nil, err
	}
	return statOK, data(h.viewJob(run)), nil
}

func data(v any) protocol.Object { return protocol.Object{{Name: "data", Value: v}} }

// viewJob is a row of workflow_job: job_extra as JSON text, ret_data decoded,
// job_cost null until the job has ended.
func (h *handlers) viewJob(r *dag.Run) protocol.Object {
	var cost, retData any
	if !r.Ended.IsZero() {
		cost = seconds(r.Ended.Sub(r.Started))
	}
	if len(r.RetData) > 0 {
		retData = r.RetData
	}
	return protocol.Object{
		{Name: "job_id", Value: r.ID}, {Name: "job_client", Value: r.Client}, {Name: "job_namespace", Value: r.Namespace},
		{Name: "job_reqid", Value: r.ReqID}, {Name: "job_name", Value: r.Name}, {Name: "job_status", Value: jobStatus(r.State)},
		{Name: "job_type", Value: r.Def.Name}, {Name: "job_tags", Value: r.Tags}, {Name: "ret_stat", Value: r.RetStat},
		{Name: "ret_data", Value: retData}, {Name: "job_cost", Value: cost}, {Name: "job_extra", Value: string(r.Inputs)},
		{Name: "job_timeout", Value: int64(r.Timeout / time.Second)}, {Name: "job_lock", Value: ""},
		{Name: "exe_id", Value: r.Epoch}, {Name: "operator", Value: r.Operator}, {Name: "is_valid", Value: true},
		{Name: "c_time", Value: h.time(r.Created)}, {Name: "s_time", Value: h.time(r.Started)},
		{Name: "e_time", Value: h.time(latest(r.Ended, r.Updated))}, {Name: "u_time", Value: h.time(r.Updated)},
	}
}

// jobStatus is the word that XingQiao's callers know.
func jobStatus(s dag.RunState) string {
	switch {
	case s == dag.RunSucceeded:
		return "finished"
	case s.Terminal():
		return "failed"
	}
	return "started"
}

func (h *handlers) time(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(h.cfg.Location).Format(timeFormat)
}

// latest is the end of a job, or the last time that it was looked at.
func latest(ended, updated time.Time) time.Time {
	if ended.IsZero() {
		return updated
	}
	return ended
}

// seconds has six digits, as XingQiao stores costs.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }
