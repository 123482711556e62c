package xingqiao

import (
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/umbel-go/umbel/dag"
	"github.com/umbel-go/umbel/protocol"
)

// Job is what create_job was asked for, as a plugin sees it.
type Job struct {
	Namespace string
	Type      string
	Name      string
	Operator  string
	// Extra is job_extra, an object.
	Extra protocol.Object
	// Timeout is the caller's job_timeout or an hour; a plugin may change it.
	Timeout time.Duration
	// Tags are the job's tags, "k=v,k2=v2"; a plugin may change them.
	Tags string
}

// Plugin builds the workflow of one job type. An error refuses the job
// (ERR_JOB_CREATE_FAILED), as an exception in params_check or workflow does in
// XingQiao.
type Plugin func(job *Job) (*dag.Definition, error)

// Registry holds plugins by job type. It is safe for concurrent use.
type Registry struct {
	mu      sync.RWMutex
	plugins map[string]Plugin
}

// NewRegistry returns a registry with the plugins of XingQiao's manual: ping,
// hello and hello_params.
func NewRegistry() *Registry {
	r := &Registry{plugins: map[string]Plugin{}}
	r.Register("ping", Ping)
	r.Register("hello", Hello)
	r.Register("hello_params", HelloParams)
	return r
}

// Register adds or replaces the plugin of a job type.
func (r *Registry) Register(jobType string, p Plugin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plugins[jobType] = p
}

// RegisterDefinition makes a definition, a YAML file say, the plugin of the job
// type that it is named after. Its inputs are what job_extra is checked against.
func (r *Registry) RegisterDefinition(def *dag.Definition) {
	r.Register(def.Name, func(*Job) (*dag.Definition, error) { return def, nil })
}

// Types lists the registered job types.
func (r *Registry) Types() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	types := make([]string, 0, len(r.plugins))
	for t := range r.plugins {
		types = append(types, t)
	}
	sort.Strings(types)
	return types
}

func (r *Registry) plugin(jobType string) (Plugin, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, ok := r.plugins[jobType]
	return p, ok
}

// build runs a plugin; a panic in it refuses the job and nothing else.
func build(p Plugin, job *Job) (def *dag.Definition, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("plugin %s panicked: %v", job.Type, cause)
		}
	}()
	def, err = p(job)
	if err == nil && def == nil {
		err = errors.New("plugin " + job.Type + " returned no workflow")
	}
	return def, err
}

// Workflow starts a definition in XingQiao's way: replies are read for their
// stat, and the first failure stops what has not begun.
func Workflow(name string) *dag.Builder {
	return dag.New(name).Reply(dag.ReplyXingQiao).FailFast()
}

// Ping runs task1, then task2.
func Ping(*Job) (*dag.Definition, error) {
	return Workflow("ping").
		Node("task1", "/demo_api/ping").
		Node("task2", "/demo_api/ping", dag.After("task1")).
		Build()
}

// Hello passes job_extra to its first task and collects the replies of the first
// two in the third, whose reply becomes the job's.
func Hello(job *Job) (*dag.Definition, error) {
	if _, ok := job.Extra.Get("str_info"); !ok {
		return nil, errors.New("job_extra not have str_info")
	}
	return Workflow("hello").
		Node("task1", "/demo_api/hello", dag.Requires("str_info")).
		Node("task2", "/demo_api/ping", dag.After("task1")).
		Node("task3", "/demo_api/collect", dag.Requires("all_taskdata"), dag.After("task1", "task2"), dag.Save()).
		Build()
}

// HelloParams is Hello with the parameter of its first task fixed.
func HelloParams(job *Job) (*dag.Definition, error) {
	if _, ok := job.Extra.Get("str_info"); !ok {
		return nil, errors.New("job_extra not have str_info")
	}
	return Workflow("hello_params").
		Node("task1", "/demo_api/hello", dag.Kwargs(map[string]any{"str_info": "hello world"})).
		Node("task2", "/demo_api/ping", dag.After("task1")).
		Node("task3", "/demo_api/collect", dag.Requires("all_taskdata"), dag.After("task1", "task2"), dag.Save()).
		Build()
}
