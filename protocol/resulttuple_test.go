package protocol

import (
	"reflect"
	"testing"
)

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
		if again, err := DecodeTuple(Raw(test.want)); err != nil || string(again.Raw()) != test.want {
			t.Errorf("%s is read as %s, %v", test.want, again.Raw(), err)
		}
	}
}

func TestDecodeTuple(t *testing.T) {
	p := Tuple{ID: "p"}
	for _, test := range []struct {
		in   string
		want Tuple
	}{
		{`["bare", null]`, Tuple{ID: "bare"}},
		{`[["t", false], null]`, Tuple{ID: "t"}},
		{`[["t", []], null]`, Tuple{ID: "t"}},
		{`[["t", ["p", null]], null]`, Tuple{ID: "t", Parent: &p}},
		{`["g", []]`, Tuple{ID: "g", Group: true}},
		{`[["g", null], [["a", null], [["h", null], [["b", null]]]]]`,
			Tuple{ID: "g", Group: true, Members: []Tuple{{ID: "a"}, {ID: "h", Group: true, Members: []Tuple{{ID: "b"}}}}}},
	} {
		if got, err := DecodeTuple(Raw(test.in)); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s is read as %+v, %v", test.in, got, err)
		}
	}
	for _, bad := range []string{``, `"id"`, `[]`, `[["t"], null]`, `[[7, null], null]`, `["", null]`, `["g", 3]`, `["g", ["x"]]`, `[["t", [1]], null]`} {
		if got, err := DecodeTuple(Raw(bad)); err == nil {
			t.Errorf("%s is read as %+v", bad, got)
		}
	}
}

func encodedGroup(t *testing.T, g Tuple) string {
	t.Helper()
	raw, err := EncodeGroup(g.Raw())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestSavedGroup(t *testing.T) {
	const saved = `{"result": [["g", null], [[["a", null], null], [["h", null], [[["b", null], null]]]]]}`
	g, err := DecodeGroup([]byte(saved))
	if err != nil || encodedGroup(t, g) != saved {
		t.Fatalf("read as %s, %v", g.Raw(), err)
	}
	if got := g.Tasks(); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("its tasks are %v", got)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"result": null}`, `{"result": [["t", null], null]}`} {
		if got, err := DecodeGroup([]byte(bad)); err == nil {
			t.Errorf("%s is read as %+v", bad, got)
		}
	}
}

func FuzzDecodeGroup(f *testing.F) {
	f.Add([]byte(`{"result": [["g", ["p", null]], [[["a", null], null], ["h", []]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := DecodeGroup(data)
		if err != nil {
			return
		}
		written := encodedGroup(t, g) // where a text of broken UTF-8 is repaired
		again, err := DecodeGroup([]byte(written))
		if err != nil || encodedGroup(t, again) != written {
			t.Fatalf("%s became %s and then %s: %v", data, written, encodedGroup(t, again), err)
		}
	})
}
