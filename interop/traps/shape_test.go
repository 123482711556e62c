package traps

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/umbel-go/umbel/protocol"
)

// shapeDiff says in what the shape of a value differs from a captured one: names
// of members and kinds of values, where null fits everything. Numbers are int or
// float, as Python tells them apart. The elements of a list all have the shape
// of the captured list's first.
func shapeDiff(path string, got, want any) []string {
	if got == nil || want == nil {
		return nil
	}
	if g, w := kindOf(got), kindOf(want); g != w {
		return []string{fmt.Sprintf("%s is %s, not %s", path, g, w)}
	}
	var diff []string
	switch want := want.(type) {
	case []any:
		for i, e := range got.([]any) {
			if len(want) > 0 {
				diff = append(diff, shapeDiff(fmt.Sprintf("%s[%d]", path, i), e, want[min(i, len(want)-1)])...)
			}
		}
	case protocol.Object:
		diff = membersDiff(path, got.(protocol.Object), want)
	}
	return diff
}

// byData are objects whose members are named by data: any name will do, and each
// value has the shape of the captured object's first.
var byData = []string{"total", "query_task", "args", "kwargs"}

func membersDiff(path string, got, want protocol.Object) []string {
	var diff []string
	if name := path[strings.LastIndex(path, ".")+1:]; slices.Contains(byData, name) {
		for _, f := range got {
			if len(want) > 0 {
				diff = append(diff, shapeDiff(path+"[...]", f.Value, want[0].Value)...)
			}
		}
		return diff
	}
	for _, f := range want {
		if v, ok := got.Get(f.Name); ok {
			diff = append(diff, shapeDiff(path+"."+f.Name, v, f.Value)...)
		} else {
			diff = append(diff, path+" lacks "+f.Name)
		}
	}
	for _, f := range got {
		if _, ok := want.Get(f.Name); !ok {
			diff = append(diff, path+" has "+f.Name+" too")
		}
	}
	return diff
}

func kindOf(v any) string {
	switch v := v.(type) {
	case bool:
		return "bool"
	case string:
		return "string"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eEIN") {
			return "float"
		}
		return "int"
	case int64:
		return "int"
	case float64:
		return "float"
	case []any:
		return "list"
	case protocol.Object:
		return "object"
	}
	return fmt.Sprintf("%T", v)
}

func TestShapeDiff(t *testing.T) {
	for _, test := range []struct{ got, want, diff string }{
		{`{"a": 1, "b": null}`, `{"a": 2, "b": "x"}`, ""},
		{`{"a": 1.0}`, `{"a": 2}`, "x.a is float, not int"},
		{`{"c": [1, "y"]}`, `{"c": [3], "d": true}`, "x.c[1] is string, not int; x lacks d"},
		{`{"total": {"t": 1}, "e": []}`, `{"total": {"other": 2}}`, "x has e too"},
		{`{"total": {"t": []}}`, `{"total": {"other": 2}}`, "x.total[...] is list, not int"},
	} {
		got, err := protocol.Decode([]byte(test.got))
		must(t, err)
		want, err := protocol.Decode([]byte(test.want))
		must(t, err)
		if diff := strings.Join(shapeDiff("x", got, want), "; "); diff != test.diff {
			t.Errorf("%s against %s: %q, want %q", test.got, test.want, diff, test.diff)
		}
	}
}
