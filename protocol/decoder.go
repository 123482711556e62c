package protocol

import (
	"errors"
	"fmt"
	"strings"
)

// Decoder reads task messages. Its zero value reads every serializer that
// carries plain data.
type Decoder struct {
	// Accept names the serializers to read, by name or MIME type; nil means
	// json, msgpack and yaml.
	Accept []string
	// Pickle also allows pickle. A pickle is read as plain values only (None,
	// booleans, numbers, texts, bytes, lists, tuples, sets, dictionaries with
	// scalar keys, dates, decimals, UUIDs and Celery's signatures); one that
	// names any other class or function is refused, and nothing is ever called.
	// With Accept, "pickle" must stand there as well.
	Pickle bool
}

// DecodeTask reads a task message with the zero Decoder.
func DecodeTask(m *Message) (*Task, error) { return Decoder{}.Task(m) }

// Task reads a task message of protocol 2, of protocol 1, or protocol 2 headers
// over a protocol 1 body. The error is always an *Error and says which fate the
// message deserves; every shape that stops a Python worker is such an error here.
func (d Decoder) Task(m *Message) (*Task, error) {
	t := &Task{
		Name: m.Headers.String("task"), ID: m.Headers.String("id"), Version: 2,
		CorrelationID: m.Properties.CorrelationID, ReplyTo: m.Properties.ReplyTo,
		Priority: m.Properties.Priority, DeliveryMode: m.Properties.DeliveryMode,
		Expiration: m.Properties.Expiration, Exchange: m.Properties.Exchange,
		RoutingKey: m.Properties.RoutingKey,
	}
	if err := d.decode(t, m); err != nil {
		return nil, t.refuse(err)
	}
	return t, nil
}

// refuse completes an error with what is known of the task.
func (t *Task) refuse(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Kind: KindMalformed, Reason: "cannot be read", Err: err}
	}
	e.TaskID, e.TaskName = t.ID, t.Name
	if t.ID != "" {
		e.Fate = FateFail
	}
	return e
}

func malformed(format string, args ...any) *Error {
	return &Error{Kind: KindMalformed, Reason: fmt.Sprintf(format, args...)}
}

func (d Decoder) decode(t *Task, m *Message) error {
	if m.Malformed != "" {
		return malformed("%s", m.Malformed)
	}
	if t.Name != "" && t.ID == "" {
		return malformed("header id is missing or not a string")
	}
	body, err := d.open(t, m)
	if err != nil {
		return err
	}
	if t.Name == "" {
		t.Version = 1
		return t.decodeV1(body, m.Headers)
	}
	if firstByte(body) == '{' {
		return t.decodeHybrid(body, m.Headers)
	}
	if err := t.decodeBody(body); err != nil {
		return err
	}
	return t.setHeaders(m.Headers)
}

// open returns the body as JSON and notes how it came. The content encoding does
// not matter: kombu's serializers do not look at it either.
func (d Decoder) open(t *Task, m *Message) ([]byte, error) {
	s, err := d.serializer(m.ContentType)
	if err != nil {
		return nil, err
	}
	packing := m.Headers.String("compression")
	body, err := Decompress(packing, m.Body)
	if err != nil {
		return nil, &Error{Kind: KindContent, Reason: "body cannot be decompressed", Err: err}
	}
	if body, err = s.toJSON(body); err != nil {
		var e *Error
		if errors.As(err, &e) {
			return nil, e
		}
		return nil, &Error{Kind: KindMalformed, Reason: "body cannot be read", Err: err}
	}
	t.Serializer = s.name
	if s.fromJSON == nil {
		t.Serializer = "json"
	}
	if c, ok := compressionOf(packing); ok {
		t.Compression = c.name
		if c.create == nil { // every peer reads zlib
			t.Compression = "zlib"
		}
	}
	return body, nil
}

func (d Decoder) serializer(contentType string) (serializer, error) {
	refusal := &Error{Kind: KindContent}
	s, ok := serializerOf(contentType)
	switch {
	case contentType == "":
		refusal.Reason = "it has no content type"
	case contentType == ContentTypeData:
		refusal.Reason = "its body is raw or signed data (the auth serializer), which is not read"
	case strings.HasPrefix(contentType, "text/"):
		refusal.Reason = "its body is plain text and no task"
	case !ok:
		refusal.Reason = fmt.Sprintf("content type %.60q is not known", contentType)
	case s.name == "pickle" && !d.Pickle:
		refusal.Reason = "pickle is not accepted, since loading it may run any code: " +
			"let the sender use json, or accept pickled plain values"
	case d.Accept != nil && !d.accepts(s):
		refusal.Reason = fmt.Sprintf("content type %.60q is not accepted here, only %s", contentType, strings.Join(d.Accept, ", "))
	default:
		return s, nil
	}
	return serializer{}, refusal
}

func (d Decoder) accepts(s serializer) bool {
	for _, name := range d.Accept {
		if name == s.name || name == s.mime {
			return true
		}
	}
	return false
}

func firstByte(body []byte) byte {
	p := parser{data: body}
	return p.peek()
}
