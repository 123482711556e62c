package protocol

import "fmt"

// Kind says what is wrong with a message.
type Kind string

// Kinds of message errors.
const (
	KindMalformed Kind = "malformed" // not the shape that the protocol asks for
	KindContent   Kind = "content"   // a content type or compression we do not accept
	KindUnknown   Kind = "unknown"   // not a task message at all
	KindInvalid   Kind = "invalid"   // a task message with a field that cannot be used
)

// Fate says what a worker should do with a message that it cannot run. Python
// acknowledges or rejects such messages, and in some cases dies of them; in
// every case it loses them. Umbel keeps them in a dead-letter place.
type Fate int

// Fates of a message.
const (
	// FateDead moves the message to the dead-letter place; no result can be
	// stored because the task id is unknown.
	FateDead Fate = iota
	// FateFail does the same and stores FAILURE under Error.TaskID.
	FateFail
)

// Error is a refusal to decode a message. It is matched with errors.As.
type Error struct {
	Kind Kind
	Fate Fate
	// TaskID and TaskName are set as far as they could be read.
	TaskID   string
	TaskName string
	Reason   string
	Err      error
}

// Error returns the reason with its kind and, when known, the task.
func (e *Error) Error() string {
	task := ""
	if e.TaskName != "" {
		task = fmt.Sprintf(" of task %s[%s]", e.TaskName, e.TaskID)
	}
	return fmt.Sprintf("message%s cannot be used (%s): %s", task, e.Kind, e.detail())
}

// Short is Error for a place that names the task elsewhere.
func (e *Error) Short() string { return string(e.Kind) + ": " + e.detail() }

func (e *Error) detail() string {
	switch {
	case e.Err == nil:
		return e.Reason
	case e.Reason == "":
		return e.Err.Error()
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
