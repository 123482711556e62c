package worker

import "errors"

// Causes of a task context's end, as context.Cause gives them.
var (
	// ErrRevoked means that the task was revoked and terminated.
	ErrRevoked = errors.New("task terminated by revoke")
	// ErrSoftLimit means that the soft time limit passed: finish quickly.
	ErrSoftLimit = errors.New("soft time limit exceeded")
	// ErrHardLimit means that the hard time limit passed: the outcome is
	// already stored and whatever the task returns is discarded.
	ErrHardLimit = errors.New("hard time limit exceeded")
	// ErrShutdown means that the worker's drain deadline passed.
	ErrShutdown = errors.New("worker is shutting down")
	// ErrClaimLost means that the broker gave the message of a late-acknowledged
	// task to somebody else; it may be running there.
	ErrClaimLost = errors.New("task message was given to another worker")
)
