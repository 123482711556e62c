package redis

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/umbel-go/umbel/protocol"
)

// appendEnvelope appends the message as kombu's virtual transports write it:
// members and properties in kombu's order, the body in base64.
func appendEnvelope(dst []byte, m *protocol.Message, exchange, routingKey, tag string) ([]byte, error) {
	dst = append(dst, `{"body": "`...)
	dst = base64.StdEncoding.AppendEncode(dst, m.Body)
	dst = append(dst, `", "content-encoding": `...)
	dst = appendText(dst, m.ContentEncoding)
	dst = append(dst, `, "content-type": `...)
	dst = appendText(dst, m.ContentType)
	dst = append(dst, `, "headers": `...)
	headers := m.Headers
	if headers == nil {
		headers = protocol.Object{}
	}
	dst, err := protocol.AppendJSON(dst, headers)
	if err != nil {
		return nil, fmt.Errorf("encode message headers: %w", err)
	}
	dst = append(dst, `, "properties": {`...)
	dst = appendProperties(dst, &m.Properties, exchange, routingKey, tag)
	return append(dst, `}}`...), nil
}

func appendProperties(dst []byte, p *protocol.Properties, exchange, routingKey, tag string) []byte {
	dst = appendOptional(dst, "correlation_id", p.CorrelationID)
	dst = appendOptional(dst, "reply_to", p.ReplyTo)
	mode, priority := p.DeliveryMode, 0
	if mode == 0 {
		mode = protocol.Persistent
	}
	if p.Priority != nil {
		priority = *p.Priority
	}
	dst = strconv.AppendInt(append(dst, `"delivery_mode": `...), int64(mode), 10)
	dst = append(dst, ", "...)
	dst = appendOptional(dst, "expiration", p.Expiration)
	dst = appendText(append(dst, `"delivery_info": {"exchange": `...), exchange)
	dst = appendText(append(dst, `, "routing_key": `...), routingKey)
	dst = strconv.AppendInt(append(dst, `}, "priority": `...), int64(priority), 10)
	dst = append(dst, `, "body_encoding": "base64", "delivery_tag": `...)
	return appendText(dst, tag)
}

// appendOptional appends a property and a comma, unless it is empty.
func appendOptional(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, '"'), name...), `": `...)
	return append(appendText(dst, value), ", "...)
}

// appendText appends a JSON string; strings cannot fail.
func appendText(dst []byte, s string) []byte {
	dst, _ = protocol.AppendJSON(dst, s)
	return dst
}

var errNoEnvelope = errors.New("not a kombu envelope")

// decodeEnvelope reads a list element or a pub/sub payload. It never fails: what
// is no envelope becomes a message with Malformed set and the element as its
// body.
func decodeEnvelope(raw []byte) (m *protocol.Message, redelivered bool) {
	m, redelivered, err := parseEnvelope(raw)
	if err != nil {
		return &protocol.Message{Malformed: err.Error(), Body: raw}, redelivered
	}
	return m, redelivered
}

func parseEnvelope(raw []byte) (*protocol.Message, bool, error) {
	fields, err := protocol.SplitObject(raw)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", errNoEnvelope, err)
	}
	m := &protocol.Message{}
	var body protocol.Raw
	var properties protocol.Object
	noHeaders := false
	for _, f := range fields {
		switch f.Name {
		case "body":
			body = f.Value
		case "content-encoding":
			m.ContentEncoding = textOf(f.Value)
		case "content-type":
			m.ContentType = textOf(f.Value)
		case "headers":
			m.Headers = objectOf(f.Value)
			noHeaders = m.Headers == nil && string(f.Value) != "null"
		case "properties":
			properties = objectOf(f.Value)
		}
	}
	if properties == nil {
		return nil, false, fmt.Errorf("%w: it has no properties", errNoEnvelope)
	}
	if noHeaders {
		return nil, false, fmt.Errorf("%w: its headers are not an object", errNoEnvelope)
	}
	again := setProperties(m, properties)
	if encoding := m.Headers.String(malformedHeader); encoding == "hex" {
		return unwrapMalformed(body, again)
	}
	m.Body, err = bodyOf(body, properties.String("body_encoding"))
	return m, again, err
}

// setProperties reports whether the message is marked as redelivered.
func setProperties(m *protocol.Message, o protocol.Object) bool {
	info, _ := o.Get("delivery_info")
	where, _ := info.(protocol.Object)
	m.Properties = protocol.Properties{
		CorrelationID: o.String("correlation_id"),
		ReplyTo:       o.String("reply_to"),
		Expiration:    o.String("expiration"),
		DeliveryTag:   o.String("delivery_tag"),
		Exchange:      where.String("exchange"),
		RoutingKey:    where.String("routing_key"),
		Priority:      integer(o, "priority"),
	}
	if mode := integer(o, "delivery_mode"); mode != nil {
		m.Properties.DeliveryMode = *mode
	}
	header, _ := m.Headers.Get("redelivered")
	mark, _ := where.Get("redelivered")
	return header == true || mark == true
}

func bodyOf(raw protocol.Raw, encoding string) ([]byte, error) {
	text, ok := plainText(raw)
	if !ok {
		return nil, fmt.Errorf("%w: its body is not a string", errNoEnvelope)
	}
	if encoding != "base64" {
		return text, nil
	}
	body := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(body, text)
	if err != nil {
		return nil, fmt.Errorf("%w: its body is not base64: %w", errNoEnvelope, err)
	}
	return body[:n], nil
}

// plainText spares base64 bodies, which have no escapes, the copy.
func plainText(raw protocol.Raw) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	v, err := protocol.Decode(raw)
	s, ok := v.(string)
	return []byte(s), ok && err == nil
}

func textOf(raw protocol.Raw) string {
	text, _ := plainText(raw)
	return string(text)
}

func objectOf(raw protocol.Raw) protocol.Object {
	o, err := protocol.DecodeObject(raw)
	if err != nil {
		return nil
	}
	return o
}

func integer(o protocol.Object, name string) *int {
	v, _ := o.Get(name)
	number, _ := v.(json.Number)
	n, err := strconv.Atoi(string(number))
	if err != nil {
		return nil
	}
	return &n
}

// redeliver returns the envelope with kombu's two marks of a redelivered
// message; what has no place for them is left as it is.
func redeliver(raw []byte) []byte {
	fields, err := protocol.SplitObject(raw)
	if err != nil {
		return raw
	}
	out := make(protocol.Object, len(fields))
	for i, f := range fields {
		out[i] = protocol.Field{Name: f.Name, Value: f.Value}
		o := objectOf(f.Value)
		switch {
		case f.Name == "headers" && o != nil:
			out[i].Value = o.Set("redelivered", true)
		case f.Name == "properties":
			info, _ := o.Get("delivery_info")
			if where, ok := info.(protocol.Object); ok {
				out[i].Value = o.Set("delivery_info", where.Set("redelivered", true))
			}
		}
	}
	marked, err := protocol.Marshal(out)
	if err != nil {
		return raw
	}
	return marked
}

// completeEnvelope adds what other producers leave out and kombu cannot do
// without: headers, and in the properties a delivery tag and where the message
// came from.
func completeEnvelope(raw []byte, m *protocol.Message, queue, tag string) []byte {
	p := m.Properties
	if m.Headers != nil && p.DeliveryTag != "" && (p.RoutingKey != "" || p.Exchange != "") {
		return raw
	}
	fields, err := protocol.SplitObject(raw)
	if err != nil {
		return raw
	}
	out := make(protocol.Object, 0, len(fields)+1)
	for _, f := range fields {
		if f.Name == "properties" {
			out = out.Set(f.Name, completeProperties(objectOf(f.Value), queue, tag))
		} else {
			out = out.Set(f.Name, f.Value)
		}
	}
	if m.Headers == nil {
		out = out.Set("headers", protocol.Object{})
	}
	complete, err := protocol.Marshal(out)
	if err != nil {
		return raw
	}
	return complete
}

func completeProperties(o protocol.Object, queue, tag string) protocol.Object {
	info, _ := o.Get("delivery_info")
	where, _ := info.(protocol.Object)
	if _, ok := where.Get("exchange"); !ok {
		where = where.Set("exchange", "")
	}
	if _, ok := where.Get("routing_key"); !ok {
		where = where.Set("routing_key", queue)
	}
	o = o.Set("delivery_info", where)
	if o.String("delivery_tag") == "" {
		o = o.Set("delivery_tag", tag)
	}
	return o
}

// malformedHeader marks an envelope that carries an element which was none, its
// bytes in hexadecimal: a Python worker that restores and consumes it logs and
// drops it, where the bare element would end the process.
const malformedHeader = "umbel_malformed"

// wrapMalformed is the Go twin of wrap in claimScript.
func wrapMalformed(raw []byte, queue, tag string) []byte {
	dst := append([]byte(`{"body": "`), hex.EncodeToString(raw)...)
	dst = append(dst, `", "content-encoding": "binary", "content-type": "application/data", "headers": {"`+malformedHeader+
		`": "hex"}, "properties": {"delivery_info": {"exchange": "", "routing_key": `...)
	dst = appendText(dst, queue)
	dst = append(dst, `}, "priority": 0, "delivery_tag": `...)
	dst = appendText(dst, tag)
	return append(dst, `}}`...)
}

func unwrapMalformed(body protocol.Raw, redelivered bool) (*protocol.Message, bool, error) {
	text, _ := plainText(body)
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil {
		return nil, redelivered, fmt.Errorf("%w: its hexadecimal body is broken: %w", errNoEnvelope, err)
	}
	return &protocol.Message{Malformed: errNoEnvelope.Error(), Body: raw}, redelivered, nil
}
