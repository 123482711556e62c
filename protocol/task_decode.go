package protocol

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxBody is how large a compressed task body may become, in bytes: a message of
// a few kilobytes can claim to hold gigabytes.
const MaxBody = 64 << 20

// known are the headers that belong to Celery or to a transport; all others are
// the user's.
var known = map[string]bool{
	"lang": true, "task": true, "id": true, "shadow": true, "eta": true, "expires": true,
	"group": true, "group_index": true, "retries": true, "timelimit": true, "root_id": true,
	"parent_id": true, "argsrepr": true, "kwargsrepr": true, "origin": true,
	"ignore_result": true, "replaced_task_nesting": true, "stamped_headers": true,
	"stamps": true, "compression": true, "redelivered": true,
}

// DecodeTask reads a task message of protocol 2, of protocol 1, or protocol 2
// headers over a protocol 1 body. The error is always an *Error and says which
// fate the message deserves; every shape that stops a Python worker is such an
// error here.
func DecodeTask(m *Message) (*Task, error) {
	t := &Task{
		Name: m.Headers.String("task"), Lang: m.Headers.String("lang"), Version: 2,
		CorrelationID: m.Properties.CorrelationID, ReplyTo: m.Properties.ReplyTo,
		Priority: m.Properties.Priority, DeliveryMode: m.Properties.DeliveryMode,
		Expiration: m.Properties.Expiration, Exchange: m.Properties.Exchange,
		RoutingKey: m.Properties.RoutingKey,
	}
	id, _ := m.Headers.Get("id")
	t.ID, _ = id.(string)
	if err := t.decode(m); err != nil {
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

func (t *Task) decode(m *Message) error {
	if m.Malformed != "" {
		return malformed("%s", m.Malformed)
	}
	if t.Name != "" && t.ID == "" {
		return malformed("header id is missing or not a string")
	}
	body, err := openBody(m)
	if err != nil {
		return err
	}
	if t.Name == "" {
		t.Version = 1
		return t.decodeV1(body, m.Headers)
	}
	if first := firstByte(body); first == '{' {
		return t.decodeHybrid(body, m.Headers)
	}
	if err := t.decodeBody(body); err != nil {
		return err
	}
	return t.setHeaders(m.Headers)
}

func firstByte(body []byte) byte {
	p := parser{data: body}
	return p.peek()
}

// openBody checks the content type, undoes the compression (kombu's names for
// gzip mean a zlib stream) and the encoding.
func openBody(m *Message) ([]byte, error) {
	body, err := decompress(m)
	if err != nil {
		return nil, err
	}
	switch enc := strings.ToLower(m.ContentEncoding); enc {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "binary":
	case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
		runes := make([]rune, len(body))
		for i, b := range body {
			runes[i] = rune(b)
		}
		return []byte(string(runes)), nil
	default:
		return nil, &Error{Kind: KindContent, Reason: fmt.Sprintf("content encoding %.60q is not supported", enc)}
	}
	if !utf8.Valid(body) {
		return nil, malformed("body is not valid UTF-8")
	}
	return body, nil
}

func decompress(m *Message) ([]byte, error) {
	if m.ContentType != ContentTypeJSON && m.ContentType != "json" {
		return nil, &Error{Kind: KindContent, Reason: fmt.Sprintf("content type %.60q is not accepted", m.ContentType)}
	}
	var r io.Reader
	switch c := m.Headers.String("compression"); c {
	case "":
		return m.Body, nil
	case "application/x-gzip", "gzip", "zlib":
		z, err := zlib.NewReader(bytes.NewReader(m.Body))
		if err != nil {
			return nil, &Error{Kind: KindContent, Reason: "body is not a zlib stream", Err: err}
		}
		r = z
	case "application/x-bz2", "bzip2", "bzip":
		r = bzip2.NewReader(bytes.NewReader(m.Body))
	default:
		return nil, &Error{Kind: KindContent, Reason: fmt.Sprintf("compression %.60q is not supported", c)}
	}
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return nil, &Error{Kind: KindContent, Reason: "body cannot be decompressed", Err: err}
	}
	if len(body) > MaxBody {
		return nil, &Error{Kind: KindContent, Reason: fmt.Sprintf("body is larger than %d bytes when decompressed", MaxBody)}
	}
	return body, nil
}

func (t *Task) decodeBody(body []byte) error {
	parts, err := SplitArray(body)
	if err != nil {
		return &Error{Kind: KindMalformed, Reason: "body is not a JSON array", Err: err}
	}
	if len(parts) != 3 {
		return malformed("body has %d elements instead of args, kwargs, embed", len(parts))
	}
	if err := t.setArguments(parts[0], parts[1]); err != nil {
		return err
	}
	embed, err := rawObject(parts[2])
	if err != nil && firstByte(parts[2]) != '[' { // an empty list passes for an empty object in Python
		return malformed("embed is not an object")
	}
	return t.setEmbed(embed)
}

func (t *Task) setArguments(args, kwargs Raw) (err error) {
	if t.Args, err = SplitArray(args); err != nil {
		return malformed("args are not an array")
	}
	if t.Kwargs, err = SplitObject(kwargs); err != nil {
		return malformed("kwargs are not an object")
	}
	return nil
}

func (t *Task) setEmbed(embed Object) (err error) {
	lists := []struct {
		name string
		into *[]Signature
	}{{"callbacks", &t.Callbacks}, {"errbacks", &t.Errbacks}, {"chain", &t.Chain}}
	for _, l := range lists {
		v, _ := embed.Get(l.name)
		if *l.into, err = signaturesOf(v); err != nil {
			return &Error{Kind: KindMalformed, Reason: "embedded " + l.name, Err: err}
		}
	}
	chord, _ := embed.Get("chord")
	list, err := signaturesOf(chord)
	if err != nil || len(list) > 1 {
		return &Error{Kind: KindMalformed, Reason: "embedded chord", Err: err}
	}
	if len(list) == 1 {
		t.Chord = &list[0]
	}
	return nil
}

// decodeHybrid reads protocol 2 headers over a protocol 1 body: the body's
// members are defaults under the headers.
func (t *Task) decodeHybrid(body []byte, headers Object) error {
	o, err := rawObject(body)
	if err != nil {
		return &Error{Kind: KindMalformed, Reason: "body is not JSON", Err: err}
	}
	if _, ok := o.Get("args"); !ok {
		return malformed("body is an object without args")
	}
	if err := t.setV1(o); err != nil {
		return err
	}
	return t.setHeaders(headers)
}

func (t *Task) decodeV1(body []byte, headers Object) error {
	o, err := rawObject(body)
	if err != nil {
		return &Error{Kind: KindUnknown, Reason: "neither task headers nor a protocol 1 body", Err: err}
	}
	t.Name, t.ID = plain(o, "task"), plain(o, "id")
	if t.Name == "" {
		return &Error{Kind: KindUnknown, Reason: "no task name in headers or body"}
	}
	if t.ID == "" {
		return malformed("id is missing")
	}
	t.Headers = headers
	return t.setV1(o)
}

// plain is a string member of an object of raw values.
func plain(o Object, name string) string {
	v, _ := o.Get(name)
	raw, ok := v.(Raw)
	if !ok {
		return ""
	}
	d, _ := Decode(raw)
	s, _ := d.(string)
	return s
}

func (t *Task) setV1(o Object) error {
	args, kwargs := member(o, "args", "[]"), member(o, "kwargs", "{}")
	if err := t.setArguments(args, kwargs); err != nil {
		return err
	}
	decoded := make(Object, 0, len(o))
	for _, name := range []string{"retries", "eta", "expires", "timelimit", "group", "group_index", "shadow"} {
		if raw, ok := o.Get(name); ok {
			v, err := Decode(raw.(Raw))
			if err != nil {
				return malformed("member %s", name)
			}
			decoded = append(decoded, Field{name, v})
		}
	}
	if set := plain(o, "taskset"); set != "" {
		decoded = decoded.Set("group", set)
	}
	if err := t.setFields(decoded); err != nil {
		return err
	}
	return t.setEmbed(o.Without("chain"))
}

// member is a raw member, or its default where it is missing.
func member(o Object, name, missing string) Raw {
	if v, ok := o.Get(name); ok {
		if raw, ok := v.(Raw); ok {
			return raw
		}
	}
	return Raw(missing)
}

func (t *Task) setHeaders(h Object) error {
	if err := t.setFields(h); err != nil {
		return err
	}
	for _, f := range h {
		if !known[f.Name] {
			t.Headers = append(t.Headers, f)
		}
	}
	return nil
}

func (t *Task) setFields(h Object) error {
	for _, f := range h {
		if f.Value == nil {
			continue
		}
		if err := t.setField(f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

func (t *Task) setField(name string, v any) error {
	switch name {
	case "shadow":
		t.Shadow, _ = v.(string)
	case "eta":
		return setTime(&t.ETA, name, v)
	case "expires":
		return setTime(&t.Expires, name, v)
	case "group":
		t.Group, _ = v.(string)
	case "group_index":
		i := int(Float(v))
		t.GroupIndex = &i
	case "retries":
		t.Retries = int(Float(v))
	case "timelimit":
		return t.setLimits(v)
	case "root_id":
		t.RootID, _ = v.(string)
	case "parent_id":
		t.ParentID, _ = v.(string)
	case "argsrepr":
		t.ArgsRepr, _ = v.(string)
	case "kwargsrepr":
		t.KwargsRepr, _ = v.(string)
	case "origin":
		t.Origin, _ = v.(string)
	case "ignore_result":
		if b, ok := v.(bool); ok {
			t.IgnoreResult = &b
		}
	case "replaced_task_nesting":
		t.ReplacedTaskNesting = int(Float(v))
	case "stamped_headers":
		list, _ := v.([]any)
		for _, s := range list {
			if s, ok := s.(string); ok {
				t.StampedHeaders = append(t.StampedHeaders, s)
			}
		}
	case "stamps":
		t.Stamps, _ = v.(Object)
	}
	return nil
}

func setTime(into *time.Time, name string, v any) error {
	s, ok := v.(string)
	if !ok {
		return &Error{Kind: KindInvalid, Reason: name + " is not a string"}
	}
	at, err := ParseTime(s)
	if err != nil {
		return &Error{Kind: KindInvalid, Reason: name, Err: err}
	}
	*into = at
	return nil
}

func (t *Task) setLimits(v any) error {
	list, ok := v.([]any)
	if !ok || len(list) != 0 && len(list) != 2 {
		return &Error{Kind: KindInvalid, Reason: "timelimit is not [hard, soft]"}
	}
	for i, v := range list {
		if _, ok := v.(json.Number); v != nil && !ok {
			return &Error{Kind: KindInvalid, Reason: "timelimit holds something else than numbers"}
		}
		*[]*float64{&t.HardLimit, &t.SoftLimit}[i] = Float(v)
	}
	return nil
}
