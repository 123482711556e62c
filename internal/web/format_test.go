package web

import (
	"math"
	"net/http/httptest"
	"testing"
	"time"
)

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                "0.00 ms",
		870 * time.Microsecond:           "0.87 ms",
		1500 * time.Millisecond:          "1.50 s",
		59999 * time.Millisecond:         "1m 00s",
		125 * time.Second:                "2m 05s",
		3723 * time.Second:               "1h 02m 03s",
		49*time.Hour + 3*time.Minute:     "2d 01h 03m",
		-2 * time.Second:                 "-2.00 s",
		time.Duration(math.MinInt64 + 1): "-106751d 23h 47m",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

func TestDurationOfUnknown(t *testing.T) {
	var none *float64
	for _, v := range []any{nil, none, (*time.Duration)(nil), math.NaN(), math.Inf(1), 1e300} {
		if got, err := duration(v); err != nil || got != dash {
			t.Errorf("%v: %q %v", v, got, err)
		}
	}
	if _, err := duration("1"); err == nil {
		t.Error("a string is no duration")
	}
}

func TestQueryChangesParameters(t *testing.T) {
	r := httptest.NewRequest("GET", "/tasks?state=SUCCESS&page=3&lang=zh&q=a%26b", nil)
	if got := Query(r, "sort", "-received", "page", ""); got != "?q=a%26b&sort=-received&state=SUCCESS" {
		t.Error(got)
	}
}

func TestSortColumns(t *testing.T) {
	r := httptest.NewRequest("GET", "/tasks?sort=-name", nil)
	columns := []Column{{Name: "name"}, {Name: "state"}, {Name: "args"}}
	got := SortColumns(r, columns, "-name", "name", "state")
	if got[0].Sorted != "descending" || got[0].Href != "?sort=name" {
		t.Errorf("%+v", got[0])
	}
	if got[1].Sorted != "" || got[1].Href != "?sort=-state" || got[2].Href != "" {
		t.Errorf("%+v", got)
	}
	if columns[0].Href != "" {
		t.Error("the columns given were changed")
	}
}

func TestCurrentNav(t *testing.T) {
	nav := []Nav{{Path: "/"}, {Path: "/workers"}, {Path: "/tasks"}, {Path: "/workflows"}}
	for path, want := range map[string]int{"/": 0, "/dashboard": 0, "/workers": 1, "/worker/a": 1, "/task/x": 2, "/workflow/3": 3, "/nope": -1} {
		if got := currentNav(nav, path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
}
