package protocol

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		in   string
		want any
	}{
		{"null", nil},
		{" true\n", true},
		{"false", false},
		{"0", json.Number("0")},
		{"-12.50e+3", json.Number("-12.50e+3")},
		{"1.0", json.Number("1.0")},
		{"123456789012345678901234567890", json.Number("123456789012345678901234567890")},
		{"NaN", json.Number("NaN")},
		{"[Infinity, -Infinity]", []any{json.Number("Infinity"), json.Number("-Infinity")}},
		{`""`, ""},
		{`"é\u00e9\/\"\\\b\f\n\r\t"`, "éé/\"\\\b\f\n\r\t"},
		{`"\ud83d\ude00"`, "😀"},
		{`"\ud83d"`, "\ufffd"},
		{`"\ud83d\u0041"`, "\ufffdA"},
		{`"\ude00\ud83d"`, "\ufffd\ufffd"},
		{"[]", []any{}},
		{"{}", Object{}},
		{`{"b": 1, "a": [2, {"c": null}]}`, Object{{"b", json.Number("1")}, {"a", []any{json.Number("2"), Object{{"c", nil}}}}}},
		{`{"a": 1, "b": 2, "a": 3}`, Object{{"a", json.Number("3")}, {"b", json.Number("2")}}},
	} {
		got, err := Decode([]byte(test.in))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, %v, want %#v", test.in, got, err, test.want)
		}
	}
}

var notJSON = []string{
	"", " ", "nul", "nan", "Nan", "+1", "01", "-", "-01", ".5", "1.", "1e", "1e+", "0x10", "1_000", "-NaN", "+Infinity", "True", "None",
	`"`, `"a`, `"\`, `"\x41"`, `"\u12"`, `"\u12g4"`, `"\u+123"`, "\"\n\"", "'a'", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]",
	"{", `{"a"`, `{"a":`, `{"a": 1`, `{"a": 1,}`, `{a: 1}`, `{1: 1}`, `{"a" 1}`, `{"a": }`, "}", "1 2", "{}{}", "null,", "\ufeff1", "/**/1",
}

func TestDecodeRefuses(t *testing.T) {
	for _, in := range notJSON {
		if v, err := Decode([]byte(in)); err == nil {
			t.Errorf("%q is accepted as %#v", in, v)
		}
		inArray := []byte("[" + in + "]")
		_, whole := Decode(inArray)
		_, split := SplitArray(inArray)
		if (whole == nil) != (split == nil) {
			t.Errorf("%s: Decode says %v, SplitArray %v", inArray, whole, split)
		}
	}
}

func TestDecodeDepth(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(strings.Repeat(`[{"a":`, n/2) + "1" + strings.Repeat("}]", n/2))
	}
	if _, err := Decode(nested(1000)); err != nil {
		t.Errorf("1,000 levels: %v", err)
	}
	for _, n := range []int{1100, 1_000_000} {
		if _, err := Decode(nested(n)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
			t.Errorf("%d levels: %.100v", n, err)
		}
		if _, err := SplitArray(nested(n)); err == nil {
			t.Errorf("SplitArray takes %d levels", n)
		}
	}
}

func TestDuplicatesInLargeObjects(t *testing.T) {
	var in strings.Builder
	in.WriteByte('{')
	for range 3 {
		for i := range 50 {
			if in.Len() > 1 {
				in.WriteByte(',')
			}
			in.Write(appendString(nil, strings.Repeat("k", i)))
			in.WriteString(":1")
		}
	}
	in.WriteString(`,"k": 2}`)
	o, err := DecodeObject([]byte(in.String()))
	if err != nil || len(o) != 50 {
		t.Fatalf("%d members, %v", len(o), err)
	}
	if o[1].Name != "k" || o[1].Value != json.Number("2") {
		t.Fatalf("the later member does not win: %v", o[1])
	}
}

func TestSplit(t *testing.T) {
	array, err := SplitArray([]byte(` [1.0, {"a": [NaN]} ,"x,]"] `))
	if err != nil || len(array) != 3 || string(array[1]) != `{"a": [NaN]}` || string(array[2]) != `"x,]"` {
		t.Errorf("got %s, %v", array, err)
	}
	fields, err := SplitObject([]byte(`{"\u0061": 1e3, "b":{"c": 2} }`))
	want := []RawField{{"a", Raw("1e3")}, {"b", Raw(`{"c": 2}`)}}
	if err != nil || !reflect.DeepEqual(fields, want) {
		t.Errorf("got %s, %v", fields, err)
	}
	for _, in := range []string{"{}", "1", "", "[1", "[1] 2"} {
		if _, err := SplitArray([]byte(in)); err == nil {
			t.Errorf("SplitArray accepts %q", in)
		}
	}
	for _, in := range []string{"[]", "1", "", `{"a": 1`, "{} 2"} {
		if _, err := SplitObject([]byte(in)); err == nil {
			t.Errorf("SplitObject accepts %q", in)
		}
	}
	// An element must not grow into its neighbour.
	_ = append(array[0], "!!!!"...)
	if string(array[1]) != `{"a": [NaN]}` {
		t.Error("elements share their capacity")
	}
}

func TestObject(t *testing.T) {
	o := Object{{"a", "x"}, {"b", 1}}
	if o.String("a") != "x" || o.String("b") != "" || o.String("c") != "" {
		t.Error("String")
	}
	if v, ok := o.Get("b"); v != 1 || !ok {
		t.Error("Get")
	}
	set := o.Set("b", 2).Set("c", 3)
	if got, _ := Marshal(set.Without("a", "nothing")); string(got) != `{"b": 2, "c": 3}` {
		t.Errorf("got %s", got)
	}
}

// FuzzDecode: whatever is accepted is written and read again as the same value,
// and the lazy readers agree with Decode.
func FuzzDecode(f *testing.F) {
	for _, in := range notJSON {
		f.Add([]byte(in))
	}
	for _, v := range python(f).Values {
		f.Add([]byte(v.JSON))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data)
		_, arrayErr := SplitArray(data)
		_, objectErr := SplitObject(data)
		_, isArray := v.([]any)
		_, isObject := v.(Object)
		if isArray != (arrayErr == nil) || isObject != (objectErr == nil) {
			t.Fatalf("Decode: %v, SplitArray: %v, SplitObject: %v", err, arrayErr, objectErr)
		}
		if err != nil {
			return
		}
		out, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("%s became %s: %v", data, out, err)
		}
		if second, _ := Marshal(again); !bytes.Equal(out, second) {
			t.Fatalf("%s, then %s", out, second)
		}
		_ = Repr(v)
	})
}
