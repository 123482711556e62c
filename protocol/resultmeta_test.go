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

// goldenResults are what Celery 5.7 and 5.6 stored.
func goldenResults(t testing.TB) map[string]string {
	out := map[string]string{}
	for _, file := range []string{"results.json", "results-5.6.json"} {
		for _, g := range golden[[]goldenResult](t, file) {
			var raw string
			if json.Unmarshal(g.Raw, &raw) == nil && g.TaskID != "" {
				out[file+" "+g.Case] = raw
			}
		}
	}
	if len(out) < 100 {
		t.Fatalf("only %d results", len(out))
	}
	return out
}

// Every meta that Celery stored is read and written again byte for byte.
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
			if string(got) != raw {
				t.Errorf("got  %s\nwant %s", got, raw)
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
			Result{Status: StateRetry, TaskID: "x", NoChildren: true}},
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

func TestExtended(t *testing.T) {
	for _, test := range []struct {
		name, members string
		e             Extended
	}{
		{"all", `"name": "demo.add", "args": [1, 2.0], "kwargs": {"k": "\u00e9"}, "worker": "w@h", "retries": 2, "queue": "q"`,
			Extended{Name: "demo.add", Args: Raw("[1, 2.0]"), Kwargs: Raw(`{"k": "\u00e9"}`), Worker: "w@h", Retries: 2, Queue: "q"}},
		{"unknown task", `"name": null, "args": null, "kwargs": null, "worker": null, "retries": null, "queue": null`,
			Extended{Args: Raw("null"), Kwargs: Raw("null")}},
		{"stamps", `"name": "t", "args": [], "kwargs": {}, "worker": "w", "retries": 0, "queue": "q", "stamped_headers": ["b", "a"], "b": 1, "a": ["x"]`,
			Extended{Name: "t", Args: Raw("[]"), Kwargs: Raw("{}"), Worker: "w", Queue: "q", StampedHeaders: []string{"b", "a"},
				Stamps: Object{{"b", Raw("1")}, {"a", Raw(`["x"]`)}}}},
	} {
		r, err := DecodeResult([]byte(`{"status": "SUCCESS", ` + test.members + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Extended(); !reflect.DeepEqual(got, test.e) {
			t.Errorf("%s: read as %+v", test.name, got)
		}
		raw, err := Marshal(test.e.Object())
		if err != nil || string(raw) != "{"+test.members+"}" {
			t.Errorf("%s: written as %s, %v", test.name, raw, err)
		}
	}
	unnamed := Extended{Name: "t", StampedHeaders: []string{"a"}, Stamps: Object{{"a", 1}, {"secret", 2}}}
	if raw, _ := Marshal(unnamed.Object()); strings.Contains(string(raw), "secret") {
		t.Errorf("a stamp that is not named is written: %s", raw)
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
		_, _ = DecodeException(r.Value).Repr(), r.Extended().Object()
	})
}
