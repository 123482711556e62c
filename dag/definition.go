package dag

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// ReplyXingQiao as [Definition.Reply] reads the results of tasks as XingQiao
// replies: a stat other than OK fails the node.
const ReplyXingQiao = "xingqiao"

// TypeTask is the node type of an ordinary Celery task, the default.
const TypeTask = "task"

// Definition is a workflow: data, immutable once stored. Read one with
// [ParseYAML] or [ParseJSON], or build it with [New]. The zero values of optional
// fields are useful.
type Definition struct {
	// Name is the workflow's name: letters, digits, "_", "-" and ".", at most 64.
	Name        string `json:"name" yaml:"name"`
	Description string `json:"description,omitempty" yaml:"description"`
	// Inputs are the values that a run may be started with, by name.
	Inputs map[string]Input `json:"inputs,omitempty" yaml:"inputs"`
	// Queue is the queue of nodes that name none; "" leaves the routing to the
	// client ("celery").
	Queue string `json:"queue,omitempty" yaml:"queue"`
	// Timeout ends a run that is not over in time; 0 means never.
	Timeout Duration `json:"timeout,omitzero" yaml:"timeout"`
	// FailFast releases no further node once one has failed. Without it the
	// branches that do not depend on the failed node go on.
	FailFast bool `json:"fail_fast,omitempty" yaml:"fail_fast"`
	// Reply is "" (a Celery result is a result) or [ReplyXingQiao].
	Reply string `json:"reply,omitempty" yaml:"reply"`
	Nodes []Node `json:"nodes" yaml:"nodes"`
}

// Input declares one value that a run is started with.
type Input struct {
	// Type is "" (anything), "string", "number", "integer", "boolean", "object"
	// or "array".
	Type        string `json:"type,omitempty" yaml:"type"`
	Description string `json:"description,omitempty" yaml:"description"`
	// Required refuses a run that does not give the value.
	Required bool `json:"required,omitempty" yaml:"required"`
	// Default is taken when the value is not given.
	Default Value `json:"default,omitempty" yaml:"default"`
}

// Node is one step: a Celery task and what it waits for.
type Node struct {
	// Name is unique in the definition: letters, digits, "_" and "-", at most 64.
	// XingQiao calls it the label.
	Name string `json:"name" yaml:"name"`
	// Type is "" or [TypeTask].
	Type string `json:"type,omitempty" yaml:"type"`
	// Task is the Celery task name, verbatim.
	Task string `json:"task" yaml:"task"`
	// Args and Kwargs are JSON whose strings may hold ${inputs.x} and
	// ${nodes.a.result.key}; a string that is one placeholder takes the value
	// with its type. Kwargs is an object.
	Args   []Value `json:"args,omitempty" yaml:"args"`
	Kwargs Value   `json:"kwargs,omitempty" yaml:"kwargs"`
	// DependsOn names the nodes that must have succeeded before.
	DependsOn []string `json:"depends_on,omitempty" yaml:"depends_on"`
	Queue     string   `json:"queue,omitempty" yaml:"queue"`
	// Retries is how many further attempts a failed one gets, RetryDelay the
	// pause before each of them.
	Retries    int      `json:"retries,omitempty" yaml:"retries"`
	RetryDelay Duration `json:"retry_delay,omitzero" yaml:"retry_delay"`
	// Timeout is the hard time limit of one attempt, which the worker enforces
	// and the engine backs up; 0 means none.
	Timeout Duration `json:"timeout,omitzero" yaml:"timeout"`
	// Requires names keyword arguments that are collected, when Kwargs is not
	// given, from the replies of direct dependencies, the run's inputs and Extra,
	// the later winning; "all_taskdata" is the list of all these replies.
	Requires []string `json:"requires,omitempty" yaml:"requires"`
	// Provides names members that the reply must have.
	Provides []string `json:"provides,omitempty" yaml:"provides"`
	Extra    Value    `json:"extra,omitempty" yaml:"extra"`
	// IsSave makes the reply the result of the run; the last such node wins.
	IsSave bool `json:"is_save,omitempty" yaml:"is_save"`
}

// Checksum identifies the content: the SHA-256, in hex, of the definition's JSON.
// Two definitions with the same checksum are the same version.
func (d *Definition) Checksum() (string, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("checksum of workflow %s: %w", d.Name, err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// queue is where the node's task goes, "" for the client's routing.
func (d *Definition) queue(n *Node) string {
	if n.Queue != "" {
		return n.Queue
	}
	return d.Queue
}
