package protocol

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReprAsPython(t *testing.T) {
	for _, row := range python(t).Values {
		v := decode(t, row.JSON)
		if got := string(appendRepr(nil, v)); got != row.Repr {
			t.Errorf("repr of %s\n got %s\nwant %s", row.JSON, got, row.Repr)
		}
		if got := Repr(v); got != row.Safe {
			t.Errorf("saferepr of %s\n got %s\nwant %s", row.JSON, got, row.Safe)
		}
		if got := ReprTuple([]any{v}); got != row.Tuple {
			t.Errorf("saferepr of a tuple of %s\n got %s\nwant %s", row.JSON, got, row.Tuple)
		}
	}
}

func TestReprCutsAsCelery(t *testing.T) {
	for _, row := range python(t).Limited {
		v := decode(t, row.JSON)
		for limit, want := range row.Safe {
			n, err := strconv.Atoi(limit)
			if err != nil {
				t.Fatal(err)
			}
			if got := saferepr(v, n); got != want {
				t.Errorf("saferepr of %s at %d\n got %s\nwant %s", row.JSON, n, got, want)
			}
		}
	}
}

func TestReprIsBounded(t *testing.T) {
	long := make([]any, 100_000)
	for i := range long {
		long[i] = Object{{"key", strings.Repeat("é", 50)}}
	}
	for _, v := range []any{long, strings.Repeat("x", 1<<20), Object{{"a", long}}} {
		if got := utf8.RuneCountInString(Repr(v)); got > 2*ReprLimit {
			t.Errorf("%d characters", got)
		}
	}
}

func TestReprOfOtherValues(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string
	}{
		{decode(t, `{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}`), "UUID('12345678-1234-5678-1234-567812345678')"},
		{decode(t, `{"__type__": "decimal", "__value__": "1.50"}`), "Decimal('1.50')"},
		{decode(t, `{"__type__": "bytes", "__value__": "abc"}`), "b'abc'"},
		{[]byte{0xff, 0}, "b'ff00'"},
		{Raw(`[1, 1e5, -0, 1E400]`), "[1, 100000.0, 0, inf]"},
		{[]string{"a"}, "['a']"},
		{map[string]int{"a": 1}, "{'a': 1}"},
		{struct{ A int }{1}, "{'A': 1}"},
	} {
		if got := Repr(test.in); got != test.want {
			t.Errorf("%#v: got %s, want %s", test.in, got, test.want)
		}
	}
	if got := ReprTuple(nil); got != "()" {
		t.Errorf("empty tuple: %s", got)
	}
}

// FuzzRepr: a repr is bounded, whatever the value and the limit.
func FuzzRepr(f *testing.F) {
	for i, row := range python(f).Values {
		f.Add([]byte(row.JSON), uint16(i*7))
	}
	f.Fuzz(func(t *testing.T, data []byte, limit uint16) {
		v, err := Decode(data)
		if err != nil {
			return
		}
		n := int(limit) + 1
		if got := saferepr(v, n); utf8.RuneCountInString(got) > 3*n+64 {
			t.Fatalf("%d characters at a limit of %d: %.200s", utf8.RuneCountInString(got), n, got)
		}
		_ = appendRepr(nil, v)
	})
}
