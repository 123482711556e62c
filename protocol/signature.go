package protocol

import "fmt"

// Kinds of composite signatures (subtask_type) and the task names that stand in
// their Task member.
const (
	SubtaskChain    = "chain"
	SubtaskGroup    = "group"
	SubtaskChord    = "chord"
	SubtaskMap      = "xmap"
	SubtaskStarmap  = "xstarmap"
	SubtaskChunks   = "chunks"
	TaskChain       = "celery.chain"
	TaskGroup       = "celery.group"
	TaskChord       = "celery.chord"
	TaskMap         = "celery.map"
	TaskStarmap     = "celery.starmap"
	TaskChunks      = "celery.chunks"
	TaskAccumulate  = "celery.accumulate"
	TaskChordUnlock = "celery.chord_unlock"
)

// Signature is Celery's description of a call: the unit of canvas. Values in
// Args, Kwargs and Options are any that Marshal takes; decoded ones are Raw.
type Signature struct {
	Task string
	Args []any
	// Kwargs of a composite hold its members: "tasks" of a chain or group,
	// "header" and "body" of a chord.
	Kwargs Object
	// Options are apply_async options by their wire names: task_id, queue,
	// countdown, link, chord, group_id ... Unknown ones are kept.
	Options     Object
	SubtaskType string
	Immutable   bool
	// ChordSize is written by Celery 5.0 and older into chord bodies.
	ChordSize int
}

// MarshalJSON writes the wire object.
func (s Signature) MarshalJSON() ([]byte, error) { return AppendJSON(nil, s.Object()) }

// Object is the wire form.
func (s Signature) Object() Object {
	args, kwargs, options := s.Args, s.Kwargs, s.Options
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = Object{}
	}
	if options == nil {
		options = Object{}
	}
	o := Object{
		{"task", s.Task}, {"args", args}, {"kwargs", kwargs}, {"options", options},
		{"subtask_type", OrNull(s.SubtaskType)}, {"immutable", s.Immutable},
	}
	if s.ChordSize > 0 {
		o = append(o, Field{"chord_size", s.ChordSize})
	}
	return o
}

// DecodeSignature reads a signature object.
func DecodeSignature(raw Raw) (Signature, error) {
	fields, err := SplitObject(raw)
	if err != nil {
		return Signature{}, fmt.Errorf("decode signature: %w", err)
	}
	var s Signature
	for _, f := range fields {
		if err := s.set(f); err != nil {
			return Signature{}, fmt.Errorf("decode signature: member %s: %w", f.Name, err)
		}
	}
	if s.Task == "" {
		return Signature{}, fmt.Errorf("decode signature: no task name")
	}
	return s, nil
}

func (s *Signature) set(f RawField) (err error) {
	null := string(f.Value) == "null"
	switch f.Name {
	case "task":
		s.Task, err = rawString(f.Value)
	case "args":
		if !null {
			s.Args, err = rawList(f.Value)
		}
	case "kwargs":
		s.Kwargs, err = rawObject(f.Value)
	case "options":
		s.Options, err = rawObject(f.Value)
	case "subtask_type":
		s.SubtaskType, err = rawString(f.Value)
	case "immutable":
		s.Immutable = string(f.Value) == "true"
	case "chord_size":
		v, derr := Decode(f.Value)
		s.ChordSize, err = int(Float(v)), derr
	}
	return err
}

// rawList splits an array into values that stay raw.
func rawList(raw Raw) ([]any, error) {
	parts, err := SplitArray(raw)
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out, err
}

// rawObject splits an object into members that stay raw; null is empty.
func rawObject(raw Raw) (Object, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	fields, err := SplitObject(raw)
	o := make(Object, len(fields))
	for i, f := range fields {
		o[i] = Field{f.Name, f.Value}
	}
	return o, err
}

// signatureOf turns an option or member into a signature, whatever form it has.
func signatureOf(v any) (Signature, error) {
	switch v := v.(type) {
	case Signature:
		return v, nil
	case *Signature:
		return *v, nil
	case Raw:
		return DecodeSignature(v)
	}
	raw, err := Marshal(v)
	if err != nil {
		return Signature{}, err
	}
	return DecodeSignature(raw)
}

// signaturesOf reads one signature or a list of them; null is none.
func signaturesOf(v any) ([]Signature, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []Signature:
		return v, nil
	case Signature, *Signature:
		s, err := signatureOf(v)
		return []Signature{s}, err
	case []any:
		out := make([]Signature, len(v))
		for i, e := range v {
			s, err := signatureOf(e)
			if err != nil {
				return nil, err
			}
			out[i] = s
		}
		return out, nil
	}
	raw, err := Marshal(v)
	if err != nil || string(raw) == "null" {
		return nil, err
	}
	if raw[0] != '[' {
		s, err := DecodeSignature(raw)
		return []Signature{s}, err
	}
	parts, err := SplitArray(raw)
	if err != nil {
		return nil, err
	}
	out := make([]Signature, len(parts))
	for i, p := range parts {
		if out[i], err = DecodeSignature(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Clone returns a signature whose args, kwargs and options can be changed
// without touching s.
func (s Signature) Clone() Signature {
	s.Args = append([]any(nil), s.Args...)
	s.Kwargs = append(Object(nil), s.Kwargs...)
	s.Options = append(Object(nil), s.Options...)
	return s
}
