package protocol

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

type shipment struct {
	ID     uuid.UUID
	Raw16  [16]byte `json:"raw16"`
	At     time.Time
	Later  *time.Time     `json:"later"`
	Label  []byte         `json:"label"`
	Text   string         `json:"text"`
	Price  *big.Float     `json:"price"`
	Count  *big.Int       `json:"count"`
	Share  float64        `json:"share"`
	Number json.Number    `json:"number"`
	Any    any            `json:"any"`
	More   map[string]any `json:"more"`
	Keep   Raw            `json:"keep"`
	Quoted int            `json:"quoted,string"`
	Parts  []shipment     `json:"parts"`
	placed
}

type placed struct {
	Place string `json:"place"`
}

func TestUnmarshalIntoStruct(t *testing.T) {
	const in = `{"id": {"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}},
		"raw16": {"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000001"}},
		"At": {"__type__": "datetime", "__value__": "2026-11-20T17:36:49.671927+02:00"}, "later": {"__type__": "date", "__value__": "2026-11-21"},
		"label": {"__type__": "base64", "__value__": "/wA="}, "text": {"__type__": "bytes", "__value__": "hi"},
		"price": {"__type__": "decimal", "__value__": "1.50"}, "count": 123456789012345678901234567890, "share": NaN, "number": 1.0,
		"any": [{"__type__": "datetime", "__value__": "2026-11-20T00:00:00"}, {"__type__": "bytes", "__value__": "b"}, 1.0,
			{"__type__": "decimal", "__value__": "2"}, {"__type__": "strange", "__value__": 1}],
		"more": {"k": {"l": null}}, "keep": {"__type__": "decimal", "__value__": "3"}, "quoted": "7", "parts": [{"text": "inner"}], "place": "here", "unknown": 1}`
	var got shipment
	if err := Unmarshal(Raw(in), &got); err != nil {
		t.Fatal(err)
	}
	later := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	count, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	if got.Price == nil || got.Price.Text('f', 2) != "1.50" || !math.IsNaN(got.Share) {
		t.Errorf("price %v, share %v", got.Price, got.Share)
	}
	got.Price, got.Share = nil, 0
	want := shipment{
		ID: uuid.MustParse("12345678-1234-5678-1234-567812345678"), Raw16: [16]byte{15: 1},
		At: time.Date(2026, 11, 20, 15, 36, 49, 671927000, time.UTC), Later: &later,
		Label: []byte{0xff, 0}, Text: "hi", Count: count, Number: "1.0",
		Any: []any{time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), []byte("b"), json.Number("1.0"), "2",
			map[string]any{"__type__": "strange", "__value__": json.Number("1")}},
		More: map[string]any{"k": map[string]any{"l": nil}}, Keep: Raw(`{"__type__": "decimal", "__value__": "3"}`),
		Quoted: 7, Parts: []shipment{{Text: "inner"}}, placed: placed{"here"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func into[T any](raw string) (any, error) {
	var v T
	err := Unmarshal(Raw(raw), &v)
	return v, err
}

func TestUnmarshalValues(t *testing.T) {
	moment := time.Date(2026, 11, 20, 17, 36, 49, 0, time.UTC)
	seven := 7
	for _, test := range []struct {
		raw  string
		read func(string) (any, error)
		want any
	}{
		{`"2026-11-20T17:36:49Z"`, into[time.Time], moment}, // kombu before 5.3
		{`"2026-11-20T17:36:49"`, into[time.Time], moment},
		{`{"t": "2026-11-20T17:36:49"}`, into[map[string]time.Time], map[string]time.Time{"t": moment}},
		{`["2026-11-20T17:36:49Z"]`, into[[]time.Time], []time.Time{moment}},
		{`"text"`, into[[]byte], []byte("text")},
		{`[["text"]]`, into[[][][]byte], [][][]byte{{[]byte("text")}}},
		{`{"__type__": "bytes", "__value__": "text"}`, into[string], "text"},
		{`{"__type__": "base64", "__value__": "/w=="}`, into[string], "\xff"},
		{`{"__type__": "money", "__value__": {"place": "x"}}`, into[placed], placed{"x"}},
		{`{"__type__": "strange", "__value__": 1, "and": 2}`, into[map[string]int], nil},
		{`[1, -2.5, 1e400, NaN]`, into[[3]float64], [3]float64{1, -2.5, math.Inf(1)}},
		{`[1]`, into[[2]int], [2]int{1, 0}},
		{`{"1": "a", "-2": "b"}`, into[map[int]string], map[int]string{1: "a", -2: "b"}},
		{`{"12345678-1234-5678-1234-567812345678": 1}`, into[map[uuid.UUID]int], map[uuid.UUID]int{uuid.MustParse("12345678-1234-5678-1234-567812345678"): 1}},
		{`7`, into[**int], func() **int { p := &seven; return &p }()},
		{`null`, into[*int], (*int)(nil)},
		{`null`, into[int], 0},
		{`18446744073709551615`, into[uint64], uint64(math.MaxUint64)},
		{`1.0`, into[Raw], Raw("1.0")},
		{`-0.0`, into[json.Number], json.Number("-0.0")},
		{`[1, {"a": 2}]`, into[any], []any{json.Number("1"), map[string]any{"a": json.Number("2")}}},
	} {
		got, err := test.read(test.raw)
		if test.want == nil {
			if err == nil {
				t.Errorf("%s is taken as %#v", test.raw, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, %v, want %#v", test.raw, got, err, test.want)
		}
	}
}

func TestUnmarshalMisfits(t *testing.T) {
	for _, test := range []struct {
		raw  string
		read func(string) (any, error)
		want string
	}{
		{`"x"`, into[int], "string where int is expected"},
		{`1.5`, into[int], "number 1.5 where int is expected"},
		{`300`, into[int8], "number 300 where int8 is expected"},
		{`-1`, into[uint], "number -1 where uint is expected"},
		{`true`, into[string], "bool where string is expected"},
		{`"1"`, into[json.Number], "string where json.Number is expected"},
		{`[]`, into[map[string]int], "array where map[string]int is expected"},
		{`{}`, into[[]int], "object where []int is expected"},
		{`5`, into[time.Time], "number 5 where time.Time is expected"},
		{`"soon"`, into[time.Time], `"soon" is not an ISO 8601 time`},
		{`{"parts": [{"text": 1}]}`, into[shipment], "number 1 in parts.0.text where string is expected"},
		{`{"x": 1}`, into[map[int]string], "number x where int is expected"},
		{`{`, into[any], "JSON at byte 1"},
		{`{"__type__": "time", "__value__": "10:00:00"}`, into[time.Time], "is not an ISO 8601 time"},
		{`{"__type__": "datetime", "__value__": "2026-11-20"}`, into[int], "string where int is expected"},
	} {
		if got, err := test.read(test.raw); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %#v, %v, want %q", test.raw, got, err, test.want)
		}
	}
	if err := Unmarshal(Raw("1"), 5); err == nil {
		t.Error("a value that is no pointer")
	}
	if err := Unmarshal(Raw("1"), (*int)(nil)); err == nil {
		t.Error("a nil pointer")
	}
}

// FuzzUnmarshal: nothing that is JSON makes it stop, and what an any holds is
// written as the same value.
func FuzzUnmarshal(f *testing.F) {
	for _, v := range python(f).Values {
		f.Add([]byte(v.JSON))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s shipment
		_ = Unmarshal(data, &s)
		var v any
		if err := Unmarshal(data, &v); err != nil || !utf8.Valid(data) {
			return
		}
		first, err := Marshal(v)
		if err != nil {
			t.Fatalf("%s became %#v: %v", data, v, err)
		}
		var again any
		if err := Unmarshal(first, &again); err != nil {
			t.Fatalf("%s became %s: %v", data, first, err)
		}
		if second, err := Marshal(again); err != nil || string(first) != string(second) {
			t.Fatalf("%s became %s, then %s, %v", data, first, second, err)
		}
	})
}
