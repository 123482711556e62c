package protocol

import (
	"fmt"
	"strings"
)

// Exception is a Python exception as results carry it under a JSON serializer.
type Exception struct {
	// Type is the qualified class name ("Outer.Inner"), Module the module that a
	// reader looks it up in, without importing it. A class that is not found there,
	// and one without a module, becomes a synthetic one of that name. A name that
	// is found and is no exception class makes Python's reader raise SecurityError.
	Type   string
	Module string
	// Args are the constructor's arguments; where the constructor refuses them the
	// reader raises a plain Exception with class and arguments as its text.
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
// and exc_module. An argument that JSON cannot hold becomes its text, as in
// Celery.
func (e *Exception) Raw() Raw {
	args := make([]any, len(e.Args))
	for i, a := range e.Args {
		raw, err := Marshal(a)
		if err != nil {
			raw, _ = Marshal(fmt.Sprint(a))
		}
		args[i] = raw
	}
	raw, _ := Marshal(Object{{"exc_type", e.Type}, {"exc_message", args}, {"exc_module", OrNull(e.Module)}})
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

// DecodeException reads the exception object of a result, in all the forms that
// Celery's reader takes: exc_message may be a list, a single value or missing,
// exc_module null, the whole a list of pairs. A value of another shape, which
// foreign writers leave and Celery refuses, becomes a plain Exception with its
// text.
func DecodeException(raw Raw) *Exception {
	o := exceptionObject(raw)
	if o.String("exc_type") == "" {
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

// exceptionObject is the object, or of a list of pairs the members that count:
// a search for each of a hostile list's names would take for ever.
func exceptionObject(raw Raw) Object {
	v, _ := Decode(raw)
	if pairs, ok := v.([]any); ok {
		var o Object
		for _, p := range pairs {
			pair, _ := p.([]any)
			if len(pair) != 2 {
				return nil
			}
			switch name, _ := pair[0].(string); name {
			case "exc_type", "exc_message", "exc_module":
				o = o.Set(name, pair[1])
			}
		}
		return o
	}
	o, _ := v.(Object)
	return o
}
