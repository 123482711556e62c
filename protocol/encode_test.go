package protocol

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestFloatsAsPython(t *testing.T) {
	for _, row := range python(t).Floats {
		bits, err := hex.DecodeString(row[0])
		if err != nil {
			t.Fatal(err)
		}
		f := math.Float64frombits(binary.BigEndian.Uint64(bits))
		if got, _ := Marshal(f); string(got) != row[1] {
			t.Errorf("JSON of %s is %s, Python's %s", row[0], got, row[1])
		}
		if got := Repr(f); got != row[2] {
			t.Errorf("repr of %s is %s, Python's %s", row[0], got, row[2])
		}
	}
}

func TestValuesAsPython(t *testing.T) {
	table := python(t)
	in := table.Dialect
	for _, v := range table.Values {
		in = append(in, v.JSON)
	}
	for _, text := range in {
		if got, err := Marshal(decode(t, text)); err != nil || string(got) != text {
			t.Errorf("got %s, %v, Python writes %s", got, err, text)
		}
	}
}

func TestMarshalGoValues(t *testing.T) {
	type inner struct {
		B *int           `json:"b"`
		C map[string]any `json:"c,omitempty"`
	}
	type named string
	seven := 7
	for _, test := range []struct {
		in   any
		want string
	}{
		{nil, "null"},
		{(*int)(nil), "null"},
		{&seven, "7"},
		{int8(-3), "-3"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{float32(0.5), "0.5"},
		{1.0, "1.0"},
		{math.Copysign(0, -1), "-0.0"},
		{math.NaN(), "NaN"},
		{json.Number("1e5"), "1e5"},
		{new(big.Int).Lsh(big.NewInt(1), 80), "1208925819614629174706176"},
		{named("x"), `"x"`},
		{[]string(nil), "null"},
		{[]string{}, "[]"},
		{[2]int{1, 2}, "[1, 2]"},
		{map[string]int{"b": 1, "a": 2}, `{"a": 2, "b": 1}`},
		{map[int]string{1: "x"}, `{"1": "x"}`},
		{[]any{1, "é", []int{2}}, `[1, "\u00e9", [2]]`},
		{inner{&seven, map[string]any{"d": "<&>"}}, `{"b": 7, "c": {"d": "<&>"}}`},
		{Raw(nil), "null"},
		{Raw("[1,2]"), "[1,2]"},
		{Object(nil), "{}"},
		{[]byte("é"), `{"__type__": "bytes", "__value__": "\u00e9"}`},
		{[]byte{0xff, 0}, `{"__type__": "base64", "__value__": "/wA="}`},
		{[]byte(nil), "null"},
		{time.Date(2026, 11, 20, 18, 36, 49, 671927000, time.FixedZone("", 3600)),
			`{"__type__": "datetime", "__value__": "2026-11-20T17:36:49.671927+00:00"}`},
		{"bad \xff utf8", `"bad \ufffd utf8"`},
	} {
		if got, err := Marshal(test.in); err != nil || string(got) != test.want {
			t.Errorf("%#v: got %s, %v, want %s", test.in, got, err, test.want)
		}
	}
	for _, bad := range []any{make(chan int), func() {}, []any{make(chan int)}, map[string]any{"a": func() {}}, complex(1, 2)} {
		if got, err := Marshal(bad); err == nil {
			t.Errorf("%T is written as %s", bad, got)
		}
	}
}

type pointerText struct{ s string }

func (p *pointerText) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// Types with an encoding of their own keep it, through pointers, slices and maps.
func TestMarshalOwnEncodings(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const wire = `{"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}`
	id := uuid.MustParse("12345678-1234-5678-1234-567812345678")
	pAt := &at
	for _, test := range []struct {
		in   any
		want string
	}{
		{&at, wire},
		{&pAt, wire},
		{struct{ At *time.Time }{&at}, `{"At": ` + wire + `}`},
		{map[string]*time.Time{"a": &at, "b": nil}, `{"a": ` + wire + `, "b": null}`},
		{id, `"12345678-1234-5678-1234-567812345678"`},
		{&id, `"12345678-1234-5678-1234-567812345678"`},
		{map[uuid.UUID]float64{id: 1}, `{"12345678-1234-5678-1234-567812345678": 1.0}`},
		{map[int]float64{1: 1, -1: 2}, `{"-1": 2.0, "1": 1.0}`},
		{netip.MustParseAddr("10.0.0.1"), `"10.0.0.1"`},
		{&pointerText{"x"}, `"x"`},
		{(*pointerText)(nil), "null"},
		{(*big.Int)(nil), "null"},
		{big.NewFloat(1.5), `"1.5"`},
		{json.RawMessage(`{"a":1}`), `{"a":1}`},
		{json.Number(""), "0"},
		{struct {
			N int `json:",string"`
		}{5}, `{"N": "5"}`},
	} {
		if got, err := Marshal(test.in); err != nil || string(got) != test.want {
			t.Errorf("%#v: got %s, %v, want %s", test.in, got, err, test.want)
		}
	}
}

func TestMarshalIsBounded(t *testing.T) {
	type link struct{ Next *link }
	ring := &link{}
	ring.Next = ring
	list := []any{nil}
	list[0] = list
	for _, v := range []any{ring, list} {
		if _, err := Marshal(v); err == nil || !strings.Contains(err.Error(), "contains itself") {
			t.Errorf("%T: %v", v, err)
		}
	}
}
