// Package dag is the workflow layer: a directed graph whose nodes are ordinary
// Celery tasks, run by Go or Python workers.
//
// The package holds what needs no I/O: definitions and their validation, the
// state machine ([Advance]) and the translation of task results. Package
// dag/store keeps runs in SQL, dag/engine moves them, dag/api, dag/xingqiao and
// dag/pages serve them.
//
// The guarantee is exactly-once advance and at-least-once execution: every
// attempt of a node is decided once, every join fires once and every successor
// is released once, whatever crashes in between; the body of a task may run more
// than once, as with any Celery task.
//
//	def, err := dag.New("report").
//		Node("a", "demo.add", dag.Args(1, 2)).
//		Node("b", "demo.mul", dag.Args("${nodes.a.result}", 10), dag.After("a")).
//		Build()
package dag
