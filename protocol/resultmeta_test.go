package protocol

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

type goldenResult struct {
	Case string
	// Raw is the meta, or {"base64"} of a compressed one, which is the backend's
	// business.
	Raw    json.RawMessage
	TaskID string `json:"task_id"`
}

func goldenResults(t testing.TB) map[string]string {
	out := map[string]string{}
	for _, g := range golden[[]goldenResult](t, "results.json") {
		var raw string
		if json.Unmarshal(g.Raw, &raw) == nil && g.TaskID != "" {
			out[g.Case] = raw
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d results", len(out))
	}
	return out
}

// Every meta that Celery stored is read and written again with the same members
// and values; byte for byte but for children, which Celery may leave null.
func TestResultsOfCelery(t *testing.T) {
	for name, raw := range goldenResults(t) {
		t.Run(name, func(t *testing.T) {
			r, err := DecodeResult([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(raw, `"children": null`, `"children": []`, 1)
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if r.Ready() == r.DateDone.IsZero() {
				t.Errorf("%s is done at %v", r.Status, r.DateDone)
			}
			if Exceptional(r.Status) {
				if e := DecodeException(r.Value); e.Module == "" || string(e.Raw()) != string(r.Value) {
					t.Errorf("exception %s became %s", r.Value, e.Raw())
				}
			}
		})
	}
}

func TestDecodeResultOfOtherPeers(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     Result
	}{
		{"empty", `{}`, Result{Status: StatePending}},
		{"celery 4 date", `{"status": "SUCCESS", "result": 1, "date_done": "2026-11-20T23:21:02.614866"}`,
			Result{Status: StateSuccess, Value: Raw("1"), DateDone: time.Date(2026, 11, 20, 23, 21, 2, 614866000, time.UTC)}},
		{"wrapped date", `{"status": "SUCCESS", "date_done": {"__type__": "datetime", "__value__": "2026-11-20T23:21:02+00:00"}}`,
			Result{Status: StateSuccess, DateDone: time.Date(2026, 11, 20, 23, 21, 2, 0, time.UTC)}},
		{"nulls", `{"status": "RETRY", "traceback": null, "children": null, "date_done": null, "group_id": null, "parent_id": null, "task_id": "x"}`,
			Result{Status: StateRetry, TaskID: "x"}},
		{"number as id", `{"task_id": 7, "status": "STARTED"}`, Result{Status: StateStarted, TaskID: "7"}},
		{"unknown member", `{"status": "SUCCESS", "own": [1.0]}`, Result{Status: StateSuccess, Extra: Object{{"own", Raw("[1.0]")}}}},
	} {
		got, err := DecodeResult([]byte(test.in))
		if err != nil || !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s: got %+v, %v, want %+v", test.name, got, err, test.want)
		}
	}
	for _, bad := range []string{"", "[]", "null", `{"status": "SUCC`, `{"children": 3}`, `{"date_done": "yesterday"}`} {
		if got, err := DecodeResult([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestResultTuples(t *testing.T) {
	child := ResultTuple("c", nil)
	for _, test := range []struct{ got, want string }{
		{string(child), `[["c", null], null]`},
		{string(ResultTuple("d", child)), `[["d", [["c", null], null]], null]`},
		{string(GroupTuple("g", nil, []Raw{child})), `[["g", null], [[["c", null], null]]]`},
		{string(GroupTuple("g", child, []Raw{})), `[["g", [["c", null], null]], []]`},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}

func FuzzDecodeResult(f *testing.F) {
	for _, raw := range goldenResults(f) {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeResult(data)
		if err != nil {
			return
		}
		out, err := r.Encode()
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if _, err := DecodeResult(out); err != nil {
			t.Fatalf("%s became %s: %v", data, out, err)
		}
		_ = DecodeException(r.Value).Repr()
	})
}
