package dag

import "github.com/umbel-go/umbel/protocol"

// Reply is a task result read as XingQiao reads one: a code and data.
type Reply struct {
	// Stat is the code, "OK" where the result has none.
	Stat string
	// Data is a JSON object without the code.
	Data protocol.Raw
}

// ReadReply reads any result of a task: an object with stat gives it and the
// rest, a pair [stat, object] likewise, any other object gives OK and itself, any
// other value OK and {"data": value}.
func ReadReply(result protocol.Raw) Reply {
	if len(result) == 0 {
		result = protocol.Raw("null")
	}
	if fields, err := protocol.SplitObject(result); err == nil {
		return replyOf(fields)
	}
	if pair, err := protocol.SplitArray(result); err == nil && len(pair) == 2 {
		stat, ok := stringOf(pair[0])
		if _, err := protocol.SplitObject(pair[1]); ok && err == nil {
			return Reply{Stat: stat, Data: pair[1]}
		}
	}
	data, _ := protocol.Marshal(protocol.Object{{Name: "data", Value: result}}) // raw cannot fail
	return Reply{Stat: StatOK, Data: data}
}

func replyOf(fields []protocol.RawField) Reply {
	reply := Reply{Stat: StatOK}
	rest := make(protocol.Object, 0, len(fields))
	for _, f := range fields {
		if stat, ok := stringOf(f.Value); ok && f.Name == "stat" {
			reply.Stat = stat
			continue
		}
		rest = rest.Set(f.Name, f.Value)
	}
	reply.Data, _ = protocol.Marshal(rest) // raw members cannot fail
	return reply
}

// Full is the reply as one object, code included.
func (r Reply) Full() protocol.Raw {
	o := protocol.Object{{Name: "stat", Value: r.Stat}}
	fields, _ := protocol.SplitObject(r.Data) // Data is an object
	for _, f := range fields {
		o = o.Set(f.Name, f.Value)
	}
	raw, _ := protocol.Marshal(o) // raw members cannot fail
	return raw
}

// Saved is what an is_save node leaves as the result of the run: the member data
// if there is one, else the reply without its code.
func (r Reply) Saved() protocol.Raw {
	if data, err := child(r.Data, "data"); err == nil {
		return data
	}
	return r.Data
}

// missing returns the first of the names that the reply lacks, "" when none.
func (r Reply) missing(names []string) string {
	for _, name := range names {
		if _, err := child(r.Full(), name); err != nil {
			return name
		}
	}
	return ""
}

func stringOf(raw protocol.Raw) (string, bool) {
	v, err := protocol.Decode(raw)
	s, ok := v.(string)
	return s, ok && err == nil
}
