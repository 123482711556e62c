package protocol

import (
	"fmt"
	"strings"
	"time"
)

// Remote control exchanges and the names built on them (kombu.pidbox).
const (
	ControlExchange = "celery.pidbox"       // fanout
	ReplyExchange   = "reply.celery.pidbox" // direct
)

// Life of mailboxes and reply queues: how long a message waits in one, and how
// long one without a consumer lives (celery control_queue_ttl and
// control_queue_expires).
const (
	ControlTTL     = 300 * time.Second
	ControlExpires = 10 * time.Second
)

// ControlQueue is the mailbox of a node.
func ControlQueue(node string) string { return node + "." + ControlExchange }

// ReplyQueue is where a client with this oid receives replies.
func ReplyQueue(oid string) string { return oid + "." + ReplyExchange }

// ControlRequest is a remote control command.
type ControlRequest struct {
	Method string
	// Arguments are the command's keyword arguments.
	Arguments Object
	// Destination are node names; empty means everybody, or those that Pattern
	// matches.
	Destination []string
	Pattern     string
	Matcher     string // "glob" or "pcre"
	// Ticket and ReplyTo are empty when no reply is wanted.
	Ticket       string
	ReplyTo      string // routing key: the client's oid
	ReplyToExch  string
	Clock        int64
	ExpiresAfter float64 // Unix seconds, 0 none; Celery's workers never look
}

// Encode returns the message for the control exchange.
func (r *ControlRequest) Encode() (*Message, error) {
	args := r.Arguments
	if args == nil {
		args = Object{}
	}
	o := Object{
		{"method", r.Method}, {"arguments", args}, {"destination", nil},
		{"pattern", OrNull(r.Pattern)}, {"matcher", OrNull(r.Matcher)},
	}
	if len(r.Destination) > 0 {
		o[2].Value = r.Destination
	}
	if r.ReplyTo != "" {
		exch := r.ReplyToExch
		if exch == "" {
			exch = ReplyExchange
		}
		o = append(o, Field{"ticket", r.Ticket},
			Field{"reply_to", Object{{"exchange", exch}, {"routing_key", r.ReplyTo}}})
	}
	body, err := AppendJSON(nil, o)
	if err != nil {
		return nil, fmt.Errorf("encode control request %s: %w", r.Method, err)
	}
	m := NewMessage(Object{{"clock", r.Clock}, {"expires", r.ExpiresAfter}}, body)
	m.Properties.Exchange = ControlExchange
	return m, nil
}

// DecodeControlRequest reads a command.
func DecodeControlRequest(m *Message) (*ControlRequest, error) {
	o, err := DecodeObject(m.Body)
	if err != nil {
		return nil, fmt.Errorf("decode control request: %w", err)
	}
	r := &ControlRequest{
		Method: o.String("method"), Pattern: o.String("pattern"), Matcher: o.String("matcher"),
		Ticket: o.String("ticket"),
	}
	if r.Method == "" {
		return nil, fmt.Errorf("decode control request: no method")
	}
	if v, _ := o.Get("arguments"); v != nil {
		args, ok := v.(Object)
		if !ok {
			return nil, fmt.Errorf("decode control request: arguments are a %s", typeName(v))
		}
		r.Arguments = args
	}
	switch d, _ := o.Get("destination"); d := d.(type) {
	case []any:
		for _, v := range d {
			if s, ok := v.(string); ok {
				r.Destination = append(r.Destination, s)
			}
		}
	case string:
		r.Destination = []string{d}
	}
	if v, _ := o.Get("reply_to"); v != nil {
		to, _ := v.(Object)
		r.ReplyTo, r.ReplyToExch = to.String("routing_key"), to.String("exchange")
	}
	clock, _ := m.Headers.Get("clock")
	expires, _ := m.Headers.Get("expires")
	r.Clock, r.ExpiresAfter = int64(Float(clock)), Float(expires)
	return r, nil
}

// ControlReply is a node's answer: {node: value}.
type ControlReply struct {
	Node   string
	Value  Raw
	Ticket string
	Clock  int64
}

// Encode returns the message for the reply exchange, to be published under the
// request's ReplyTo.
func (r *ControlReply) Encode() (*Message, error) {
	body, err := AppendJSON(nil, Object{{r.Node, r.Value}})
	if err != nil {
		return nil, fmt.Errorf("encode control reply: %w", err)
	}
	m := NewMessage(Object{{"ticket", r.Ticket}, {"clock", r.Clock}}, body)
	m.Properties.DeliveryMode = Transient
	return m, nil
}

// DecodeControlReply reads an answer.
func DecodeControlReply(m *Message) (*ControlReply, error) {
	fields, err := SplitObject(m.Body)
	if err != nil {
		return nil, fmt.Errorf("decode control reply: %w", err)
	}
	if len(fields) != 1 {
		return nil, fmt.Errorf("decode control reply: %d nodes where one is expected", len(fields))
	}
	clock, _ := m.Headers.Get("clock")
	return &ControlReply{
		Node: fields[0].Name, Value: fields[0].Value,
		Ticket: m.Headers.String("ticket"), Clock: int64(Float(clock)),
	}, nil
}

// TaskIDs are the task ids in a value of remote control: one id, a list of them,
// or an object keyed by them, as hello carries revoked ids before Celery 5.7.
// Anything else in a list is passed over.
func TaskIDs(v any) []string {
	var ids []string
	switch v := v.(type) {
	case string:
		ids = []string{v}
	case []any:
		for _, e := range v {
			if id, ok := e.(string); ok {
				ids = append(ids, id)
			}
		}
	case Object:
		for _, f := range v {
			ids = append(ids, f.Name)
		}
	}
	return ids
}

// RegisteredNames are the task names of a reply to the command registered, whose
// entries may carry attributes: "name [rate_limit=10/m]".
func RegisteredNames(reply Raw) ([]string, error) {
	var names []string
	if err := Unmarshal(reply, &names); err != nil {
		return nil, fmt.Errorf("registered tasks: %w", err)
	}
	for i, n := range names {
		names[i], _, _ = strings.Cut(n, " [")
	}
	return names, nil
}
