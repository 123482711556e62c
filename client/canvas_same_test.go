package client_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

var idPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// sameness compares what two sides sent. Ids are made anew on each: they must
// correspond one to one.
type sameness struct{ theirs, ours map[string]string }

func newSameness() *sameness { return &sameness{map[string]string{}, map[string]string{}} }

// different says where ours is not theirs, "" when nowhere.
func (s *sameness) different(at string, theirs, ours any) string {
	switch key := at[strings.LastIndexByte(at, '.')+1:]; key {
	case "lang", "origin":
		return ""
	case "stamped_headers":
		theirs, ours = sorted(theirs), sorted(ours)
	case "argsrepr", "kwargsrepr":
		theirs, ours = withoutTuples(theirs), withoutTuples(ours)
	case "priority": // none is 0 on Redis
		theirs, ours = orZero(theirs), orZero(ours)
	case "link", "link_error":
		theirs, ours = listed(theirs), listed(ours)
	}
	if strings.HasSuffix(at, ".options") {
		ours = asUnfrozen(theirs, ours)
	}
	if empty(theirs) && empty(ours) {
		return ""
	}
	switch t := theirs.(type) {
	case map[string]any:
		o, ok := ours.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %v, want %v", at, ours, theirs)
		}
		if isGroup(t) && isGroup(o) {
			t = maps.Clone(t)
			t["kwargs"] = map[string]any{"tasks": asFlattened(tasksIn(t), tasksIn(o))}
		}
		return s.differentMembers(at, t, o)
	case []any:
		o, ok := ours.([]any)
		if !ok || len(t) != len(o) {
			return fmt.Sprintf("%s: %v, want %v", at, ours, theirs)
		}
		for i := range t {
			if d := s.different(fmt.Sprintf("%s[%d]", at, i), t[i], o[i]); d != "" {
				return d
			}
		}
		return ""
	case string:
		if o, ok := ours.(string); ok && s.sameText(t, o) {
			return ""
		}
	default:
		if theirs == ours {
			return ""
		}
	}
	return fmt.Sprintf("%s: %v, want %v", at, ours, theirs)
}

func (s *sameness) differentMembers(at string, theirs, ours map[string]any) string {
	var names []string
	for n := range theirs {
		names = append(names, n)
	}
	for n := range ours {
		if _, both := theirs[n]; !both {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		if d := s.different(at+"."+n, theirs[n], ours[n]); d != "" {
			return d
		}
	}
	return ""
}

func (s *sameness) sameText(theirs, ours string) bool {
	a, b := idPattern.FindAllString(theirs, -1), idPattern.FindAllString(ours, -1)
	if len(a) != len(b) || idPattern.ReplaceAllString(theirs, "") != idPattern.ReplaceAllString(ours, "") {
		return false
	}
	for i := range a {
		if known, ok := s.theirs[a[i]]; ok && known != b[i] {
			return false
		}
		if known, ok := s.ours[b[i]]; ok && known != a[i] {
			return false
		}
		s.theirs[a[i]], s.ours[b[i]] = b[i], a[i]
	}
	return true
}

// empty is what means the same as a member that is missing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	}
	return false
}

// asUnfrozen leaves out what freezing sets where Celery sends a pending task that
// it has not frozen, see dangling.
func asUnfrozen(theirs, ours any) any {
	t, _ := theirs.(map[string]any)
	o, _ := ours.(map[string]any)
	if o == nil {
		return ours
	}
	o = maps.Clone(o)
	names := []string{"root_id"} // whoever sends a pending task gives it the root
	if t["task_id"] == nil || t["reply_to"] == nil {
		names = append(names, "task_id", "reply_to", "group_index")
	}
	for _, name := range names {
		if t[name] == nil {
			delete(o, name)
		}
	}
	return o
}

// asFlattened does to the members of a group that Celery has not frozen what
// freezing does, and has done to ours.
func asFlattened(theirs, ours any) any {
	t, _ := theirs.([]any)
	o, _ := ours.([]any)
	if slices.ContainsFunc(o, isGroup) {
		return theirs
	}
	var out []any
	for _, m := range t {
		if !isGroup(m) {
			out = append(out, m)
			continue
		}
		inner, _ := asFlattened(tasksIn(m), nil).([]any)
		slices.Reverse(inner)
		out = append(out, inner...)
	}
	return out
}

func tasksIn(group any) any {
	o, _ := group.(map[string]any)
	kwargs, _ := o["kwargs"].(map[string]any)
	return kwargs["tasks"]
}

func isGroup(sig any) bool {
	o, _ := sig.(map[string]any)
	return o["subtask_type"] == "group"
}

// withoutTuples makes lists of tuples in a repr: a signature that went through
// JSON has none any more.
func withoutTuples(v any) any {
	s, _ := v.(string)
	return strings.NewReplacer("(", "[", ",)", "]", ")", "]").Replace(s)
}

func orZero(v any) any {
	if v == nil {
		return float64(0)
	}
	return v
}

func listed(v any) any {
	if _, isList := v.([]any); isList || v == nil {
		return v
	}
	return []any{v}
}

func sorted(v any) any {
	list, _ := v.([]any)
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

// differentRun compares all that two sides sent. Where Celery loses its way ours
// must not: see astray.
func differentRun(theirs, ours told) string {
	if ours.Error != "" && theirs.Error == "" {
		return fmt.Sprintf("error %q", ours.Error)
	}
	if ours.Error != "" {
		return ""
	}
	if ours.Lost {
		return "a chord never gets all its parts"
	}
	if d := dangling(ours); d != "" {
		return d
	}
	switch astray(theirs) {
	case "":
	case againstItself:
		if sentTwice(ours) {
			return "a task is sent twice"
		}
		return newSameness().differentMessages(theirs.Messages[:theirs.First], ours.Messages[:min(ours.First, len(ours.Messages))])
	case "refused":
		return fmt.Sprintf("no error, want %q", theirs.Error)
	default:
		return ""
	}
	s := newSameness()
	if d := s.differentMessages(theirs.Messages, ours.Messages); d != "" {
		return d
	}
	if theirs.First != ours.First {
		return fmt.Sprintf("%d messages at first, want %d", ours.First, theirs.First)
	}
	if d := s.different("sizes", anys(theirs.Sizes), anys(ours.Sizes)); d != "" || dangling(theirs) != "" {
		return d // a result that names what is never sent is of no use: see dangling
	}
	if d := s.different("result", tasksOf(theirs.Result), tasksOf(ours.Result)); d != "" {
		return d
	}
	return s.different("groups", tasksOf(theirs.Groups...), tasksOf(ours.Groups...))
}

// againstItself is a group with steps behind it, as the body of a chord: in
// Celery each member runs the steps, with the same ids; ours run once, with the
// list.
const againstItself = "each member of a group runs the steps behind it"

// astray names what Celery does wrong with a canvas, "" mostly.
func astray(t told) string {
	switch {
	case strings.HasPrefix(t.Error, "AttributeError"):
		return "it takes a signature that stays a dictionary for one that does not"
	case t.Error != "":
		return "refused"
	case t.Lost:
		return "a chord waits for a part that belongs to another group or is never sent"
	case sentTwice(t):
		return againstItself
	}
	return ""
}

func (s *sameness) differentMessages(theirs, ours []sent) string {
	for i := range max(len(theirs), len(ours)) {
		if i >= len(theirs) {
			return fmt.Sprintf("message %d too many: %v", i, ours[i])
		}
		if i >= len(ours) {
			return fmt.Sprintf("message %d is missing: %v", i, theirs[i])
		}
		if d := s.differentMessage(fmt.Sprintf("message %d %v", i, theirs[i].Headers["task"]), theirs[i], ours[i]); d != "" {
			return d
		}
	}
	return ""
}

func (s *sameness) differentMessage(at string, theirs, ours sent) string {
	for _, part := range []struct {
		name         string
		theirs, ours any
	}{
		{"headers", theirs.Headers, ours.Headers}, {"body", theirs.Body, ours.Body},
		{"properties", theirs.Properties, ours.Properties}, {"priority", theirs.Priority, ours.Priority},
		{"exchange", theirs.Exchange, ours.Exchange}, {"routing_key", theirs.RoutingKey, ours.RoutingKey},
	} {
		if d := s.different(at+"."+part.name, part.theirs, part.ours); d != "" {
			return d
		}
	}
	return ""
}

func sentTwice(t told) bool {
	seen := map[any]bool{}
	for _, m := range t.Messages {
		if seen[m.Headers["id"]] {
			return true
		}
		seen[m.Headers["id"]] = true
	}
	return false
}

// dangling finds a task in the result tuples that is never sent. In Celery that
// happens to a chain in a group or header with a group before its last step: it
// is frozen to other ids than it sends.
func dangling(t told) string {
	sent := map[string]bool{}
	for _, m := range t.Messages {
		sent[m.Headers["id"].(string)] = true
	}
	for _, v := range append([]any{t.Result}, t.Groups...) {
		if v == nil {
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		tuple, err := protocol.DecodeTuple(raw)
		if err != nil {
			return err.Error()
		}
		if len(t.Messages) < canvasLimit {
			if id := danglingIn(tuple, sent); id != "" {
				return "the result names a task that is not sent: " + id
			}
		}
	}
	return ""
}

// tasksOf leaves the groups' own ids out of result tuples: Celery makes new ones
// when it sends a group that stood frozen in a chain.
func tasksOf(tuples ...any) any {
	out := make([]any, len(tuples))
	for i, v := range tuples {
		pair, _ := v.([]any)
		if len(pair) != 2 {
			continue
		}
		head, _ := pair[0].([]any)
		if members, group := pair[1].([]any); group {
			out[i] = []any{tasksOf(members...), tasksOf(head[1:]...)}
		} else {
			out[i] = []any{head[0], tasksOf(head[1:]...)}
		}
	}
	return out
}

func danglingIn(t protocol.Tuple, sent map[string]bool) string {
	if !t.Group && !sent[t.ID] {
		return t.ID
	}
	for _, m := range t.Members {
		if id := danglingIn(m, sent); id != "" {
			return id
		}
	}
	if t.Parent != nil {
		return danglingIn(*t.Parent, sent)
	}
	return ""
}

func anys(lists [][]any) any {
	out := make([]any, len(lists))
	for i, l := range lists {
		out[i] = l
	}
	return out
}
