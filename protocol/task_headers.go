package protocol

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// known are the headers that belong to Celery or to a transport; all others are
// the user's.
var known = map[string]bool{
	"lang": true, "task": true, "id": true, "shadow": true, "eta": true, "expires": true,
	"group": true, "group_index": true, "retries": true, "timelimit": true, "root_id": true,
	"parent_id": true, "argsrepr": true, "kwargsrepr": true, "origin": true,
	"ignore_result": true, "replaced_task_nesting": true, "stamped_headers": true,
	"stamps": true, "compression": true, "redelivered": true,
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

// setField reads one header that is not null. Where Python would run a task with
// an odd value, it counts as missing; where Python would stop or fail, it is an
// error.
func (t *Task) setField(name string, v any) error {
	if into := t.textField(name); into != nil {
		*into, _ = v.(string)
		return nil
	}
	switch name {
	case "eta":
		return setTime(&t.ETA, name, v)
	case "expires":
		return setTime(&t.Expires, name, v)
	case "group_index":
		if i, ok := wireInt(v); ok {
			t.GroupIndex = &i
		}
	case "retries":
		t.Retries = wireCount(v)
	case "timelimit":
		return t.setLimits(v)
	case "ignore_result":
		if b, ok := wireBool(v); ok {
			t.IgnoreResult = &b
		}
	case "replaced_task_nesting":
		t.ReplacedTaskNesting = wireCount(v)
	case "stamped_headers":
		t.StampedHeaders = wireStrings(v)
	case "stamps":
		t.Stamps, _ = v.(Object)
	case "redelivered":
		t.Redelivered, _ = wireBool(v)
	}
	return nil
}

// textField is the field of a header that is text.
func (t *Task) textField(name string) *string {
	switch name {
	case "lang":
		return &t.Lang
	case "shadow":
		return &t.Shadow
	case "group":
		return &t.Group
	case "root_id":
		return &t.RootID
	case "parent_id":
		return &t.ParentID
	case "argsrepr":
		return &t.ArgsRepr
	case "kwargsrepr":
		return &t.KwargsRepr
	case "origin":
		return &t.Origin
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

// setLimits reads [hard, soft] in seconds. What Python takes for false is none.
func (t *Task) setLimits(v any) error {
	if truth, ok := wireBool(v); ok && !truth || v == "" {
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) != 0 && len(list) != 2 {
		return &Error{Kind: KindInvalid, Reason: "timelimit is not [hard, soft]"}
	}
	for i, v := range list {
		limit, ok := wireFloat(v)
		if !ok {
			return &Error{Kind: KindInvalid, Reason: "timelimit holds something else than seconds"}
		}
		if limit > 0 && !math.IsInf(limit, 1) {
			*[]*float64{&t.HardLimit, &t.SoftLimit}[i] = limit
		}
	}
	return nil
}

// wireFloat reads a number, the text of one, or null as zero.
func wireFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case nil:
		return 0, true
	case json.Number, int, int64, float64: // the latter from Encode, without a broker between
		return Float(v), true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && isDecimal(v)
	}
	return 0, false
}

// wireInt reads a whole number within 32 bits; larger ones become the largest.
func wireInt(v any) (int, bool) {
	f, ok := wireFloat(v)
	if !ok || math.IsNaN(f) || f != math.Trunc(f) {
		return 0, false
	}
	return int(min(max(f, math.MinInt32), math.MaxInt32)), true
}

// wireCount reads a number of times, never negative.
func wireCount(v any) int {
	f, ok := wireFloat(v)
	if !ok || math.IsNaN(f) || f < 0 {
		return 0
	}
	return int(min(f, math.MaxInt32))
}

// wireBool reads a boolean or a number that stands for one.
func wireBool(v any) (truth, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case json.Number:
		return Float(v) != 0, true
	}
	return false, false
}

// wireStrings keeps the texts of a list; an empty list is not nil.
func wireStrings(v any) []string {
	if texts, ok := v.([]string); ok {
		return texts
	}
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s, ok := s.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
