package protocol

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// yamlTable is how PyYAML's safe_load reads texts, as JSON of kombu; empty where
// it refuses.
func yamlTable(t testing.TB) [][2]string {
	t.Helper()
	table := golden[struct{ YAML [][2]string }](t, "python.json").YAML
	if len(table) < 100 {
		t.Fatal("python.json lacks the table of YAML")
	}
	return table
}

func TestYAMLAsPyYAML(t *testing.T) {
	for _, row := range yamlTable(t) {
		got, err := yamlToJSON([]byte(row[0]))
		if row[1] == "" {
			if err == nil {
				t.Errorf("%q is taken as %s, PyYAML refuses it", row[0], got)
			}
			continue
		}
		if err != nil || string(got) != row[1] {
			t.Errorf("%q: got %s, %v, want %s", row[0], got, err, row[1])
		}
	}
}

// Whatever we write PyYAML reads as the same value; so does our own reader.
func TestYAMLRoundTrip(t *testing.T) {
	for _, v := range python(t).Values {
		written, err := jsonToYAML(Raw(v.JSON))
		if err != nil {
			t.Fatal(err)
		}
		back, err := yamlToJSON(written)
		if err != nil {
			t.Errorf("%s, written as %s: %v", v.JSON, written, err)
			continue
		}
		if want := yamlKeeps(t, v.JSON); string(back) != want {
			t.Errorf("%s, written as %s, became %s", want, written, back)
		}
	}
}

// yamlKeeps is what YAML makes of a value: it has no decimals, UUIDs and times.
func yamlKeeps(t *testing.T, text string) string {
	v := decode(t, text)
	if o, ok := v.(Object); ok {
		if kind, _, _ := wrapped(o); kind == "decimal" || kind == "uuid" || kind == "time" {
			v, _ = plainWrapped(o)
		}
	}
	raw, err := Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestYAMLRefuses(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		p := string(c - 1)
		laughs += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 10) + "]\n"
	}
	for name, body := range map[string]string{
		"billion laughs":  laughs,
		"deep flow":       strings.Repeat("[", 5000),
		"deep and closed": strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"deep blocks":     strings.Repeat("- ", 5000) + "x",
		"large":           "[" + strings.Repeat("a,", maxYAML/2) + "]",
		"long integer":    strings.Repeat("9", maxDigits+1),
		"not UTF-8":       "a\xff",
		"unclosed":        "[a",
	} {
		if got, err := yamlToJSON([]byte(body)); err == nil {
			t.Errorf("%s: accepted as %.80s", name, got)
		}
	}
	var e *Error
	if _, err := yamlToJSON([]byte("!!python/object/apply:os.system [ls]")); !errors.As(err, &e) || e.Kind != KindContent ||
		!strings.Contains(e.Reason, "python/object/apply:os.system") {
		t.Errorf("a Python tag: %v", err)
	}
}

// FuzzYAML: what is accepted is JSON within the limits, and survives a round trip.
func FuzzYAML(f *testing.F) {
	for _, row := range yamlTable(f) {
		f.Add([]byte(row[0]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := yamlToJSON(data)
		if err != nil {
			return
		}
		if _, err := Decode(first); err != nil {
			t.Fatalf("%q became %s: %v", data, first, err)
		}
		written, err := jsonToYAML(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := yamlToJSON(written); err != nil || !survives(first, second) {
			t.Fatalf("%q became %s, written as %s, then %s, %v", data, first, written, second, err)
		}
	})
}

// survives compares JSON as values, floats by what they are worth.
func survives(a, b []byte) bool {
	x, errX := Decode(a)
	y, errY := Decode(b)
	return errX == nil && errY == nil && Repr(x) == Repr(y) && equalTree(x, y)
}

func equalTree(x, y any) bool {
	switch x := x.(type) {
	case json.Number:
		y, ok := y.(json.Number)
		return ok && reprNumber(string(x)) == reprNumber(string(y))
	case []any:
		y, ok := y.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equalTree(x[i], y[i]) {
				return false
			}
		}
		return true
	case Object:
		y, ok := y.(Object)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if x[i].Name != y[i].Name || !equalTree(x[i].Value, y[i].Value) {
				return false
			}
		}
		return true
	}
	return x == y
}
