package protocol

import "fmt"

// Encode returns the protocol 2 message for the task, headers in the order that
// Python writes them, the body in the task's Serializer and Compression. It fails
// for values that the serializer cannot hold: msgpack has no integers beyond 64
// bits. Dates, decimals and UUIDs, for which msgpack (and for the latter two YAML)
// has no form, go as text there.
func (t *Task) Encode() (*Message, error) {
	m, err := t.message()
	if err != nil {
		return nil, fmt.Errorf("encode task %s[%s]: %w", t.Name, t.ID, err)
	}
	p := &m.Properties
	p.CorrelationID, p.ReplyTo = t.CorrelationID, t.ReplyTo
	if p.CorrelationID == "" {
		p.CorrelationID = t.ID
	}
	if t.DeliveryMode != 0 {
		p.DeliveryMode = t.DeliveryMode
	}
	p.Priority, p.Expiration = t.Priority, t.Expiration
	p.Exchange, p.RoutingKey = t.Exchange, t.RoutingKey
	return m, nil
}

// message is the task without its properties.
func (t *Task) message() (*Message, error) {
	name := t.Serializer
	if name == "" {
		name = "json"
	}
	s, ok := serializerOf(name)
	if !ok || s.fromJSON == nil {
		return nil, fmt.Errorf("serializer %.60q cannot be written: use json, msgpack or yaml", name)
	}
	body, err := t.body()
	if err != nil {
		return nil, err
	}
	if body, err = s.fromJSON(body); err != nil {
		return nil, err
	}
	headers := t.headers()
	body, mime, err := Compress(t.Compression, body)
	if err != nil {
		return nil, err
	}
	if mime != "" {
		headers = append(headers, Field{"compression", mime})
	}
	m := NewMessage(headers, body)
	m.ContentType, m.ContentEncoding = s.mime, s.encoding
	return m, nil
}

func (t *Task) headers() Object {
	o := make(Object, 0, 19+len(t.Headers))
	add := func(name string, v any) { o = append(o, Field{name, v}) }
	root := t.RootID
	if root == "" {
		root = t.ID
	}
	add("lang", t.Lang)
	add("task", t.Name)
	add("id", t.ID)
	add("shadow", OrNull(t.Shadow))
	add("eta", TimeOrNull(t.ETA))
	add("expires", TimeOrNull(t.Expires))
	add("group", OrNull(t.Group))
	add("group_index", intOrNull(t.GroupIndex))
	add("retries", t.Retries)
	add("timelimit", []any{secondsOrNull(t.HardLimit), secondsOrNull(t.SoftLimit)})
	add("root_id", root)
	add("parent_id", OrNull(t.ParentID))
	add("argsrepr", t.ArgsRepr)
	add("kwargsrepr", t.KwargsRepr)
	add("origin", t.Origin)
	add("ignore_result", boolOrNull(t.IgnoreResult))
	add("replaced_task_nesting", t.ReplacedTaskNesting)
	add("stamped_headers", stringsOrNull(t.StampedHeaders))
	stamps := t.Stamps
	if stamps == nil {
		stamps = Object{}
	}
	add("stamps", stamps)
	return append(o, t.Headers...)
}

func (t *Task) body() ([]byte, error) {
	args := t.Args
	if args == nil {
		args = []Raw{}
	}
	embed := Object{
		{"callbacks", signaturesOrNull(t.Callbacks)}, {"errbacks", signaturesOrNull(t.Errbacks)},
		{"chain", signaturesOrNull(t.Chain)}, {"chord", nil},
	}
	if t.Chord != nil {
		embed[3].Value = *t.Chord
	}
	return AppendJSON(nil, []any{args, t.KwargsObject(), embed})
}

// FillReprs computes argsrepr and kwargsrepr where the sender gave none.
func (t *Task) FillReprs() {
	if t.ArgsRepr == "" {
		args := make([]any, len(t.Args))
		for i, a := range t.Args {
			args[i] = a
		}
		t.ArgsRepr = ReprTuple(args)
	}
	if t.KwargsRepr == "" {
		t.KwargsRepr = Repr(t.KwargsObject())
	}
}
