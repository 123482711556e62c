package protocol

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
	o = o.Without("taskset")
	for _, name := range v1Fields {
		if _, ok := headers.Get(name); ok { // it stands before the body's member, even as null
			o = o.Without(name)
		}
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
	t.Headers = headers.Without("compression", "redelivered")
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

// v1Fields are the members of a protocol 1 body that protocol 2 has as headers.
var v1Fields = []string{
	"lang", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id", "parent_id",
	"argsrepr", "kwargsrepr", "origin",
}

func (t *Task) setV1(o Object) error {
	args, kwargs := member(o, "args", "[]"), member(o, "kwargs", "{}")
	if err := t.setArguments(args, kwargs); err != nil {
		return err
	}
	decoded := make(Object, 0, len(v1Fields))
	for _, name := range v1Fields {
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
