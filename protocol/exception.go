package protocol

import (
	"fmt"
	"strings"
)

// Exception is a Python exception as results carry it under a JSON serializer.
type Exception struct {
	// Type is the qualified class name, Module the module it is looked up in by
	// the reader; a class that is not found there becomes a synthetic one.
	Type   string
	Module string
	// Args are the constructor's arguments.
	Args []any
}

// Exceptions that workers store themselves (celery, billiard).
func builtinException(module, class string, args ...any) *Exception {
	if args == nil {
		args = []any{}
	}
	return &Exception{Type: class, Module: module, Args: args}
}

// NewException is a plain Exception("message"), a class that every Python
// reader has.
func NewException(message string) *Exception {
	return builtinException("builtins", "Exception", message)
}

// NotRegistered is stored for a task that no worker knows.
func NotRegistered(task string) *Exception {
	return builtinException("celery.exceptions", "NotRegistered", task)
}

// TaskRevoked is stored for a revoked, expired or terminated task; reason is
// one of these three words.
func TaskRevoked(reason string) *Exception {
	return builtinException("celery.exceptions", "TaskRevokedError", reason)
}

// ChordError is stored for the body of a chord whose header failed.
func ChordError(message string) *Exception {
	return builtinException("celery.exceptions", "ChordError", message)
}

// Raw is the exception object that stands in a result: exc_type, exc_message
// and exc_module.
func (e *Exception) Raw() Raw {
	args := e.Args
	if args == nil {
		args = []any{}
	}
	raw, err := Marshal(Object{{"exc_type", e.Type}, {"exc_message", args}, {"exc_module", e.Module}})
	if err != nil { // an argument that JSON cannot hold becomes its text, as in Python
		texts := make([]any, len(args))
		for i, a := range args {
			texts[i] = fmt.Sprint(a)
		}
		raw, _ = Marshal(Object{{"exc_type", e.Type}, {"exc_message", texts}, {"exc_module", e.Module}})
	}
	return raw
}

// Repr is Python's repr of the exception, as events and ChordError show it: the
// class without what it is nested in, and its arguments.
func (e *Exception) Repr() string {
	class := e.Type[strings.LastIndexByte(e.Type, '.')+1:]
	return class + e.argsRepr()
}

func (e *Exception) argsRepr() string {
	b := []byte{'('}
	for i, a := range e.Args {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendRepr(b, a)
	}
	return string(append(b, ')'))
}

// Error is the message alone, what Python's str() gives: the only argument, or
// all of them as a tuple. An exception without arguments gives its class.
func (e *Exception) Error() string {
	switch len(e.Args) {
	case 0:
		return e.Type
	case 1:
		if s, ok := e.Args[0].(string); ok {
			return s
		}
		return string(appendRepr(nil, e.Args[0]))
	}
	return e.argsRepr()
}

// DecodeException reads the exception object of a result. A value of another
// shape, which foreign writers leave, becomes a plain Exception with its text.
func DecodeException(raw Raw) *Exception {
	o, err := DecodeObject(raw)
	if err != nil || o.String("exc_type") == "" {
		s, _ := rawString(raw)
		return NewException(s)
	}
	e := &Exception{Type: o.String("exc_type"), Module: o.String("exc_module")}
	switch m, _ := o.Get("exc_message"); m := m.(type) {
	case []any:
		e.Args = m
	case nil:
	default:
		e.Args = []any{m}
	}
	return e
}
