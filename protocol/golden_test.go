package protocol

import (
	"encoding/json"
	"os"
	"testing"
)

// golden reads a file of testdata. They are what Celery put on the wire (5.7, or
// 5.6 where the name says so; tracebacks are cut), and what Python makes of
// values (written by testdata/python.py).
func golden[T any](t testing.TB, name string) T {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

type pythonTable struct {
	Floats  [][3]string // bits, JSON, repr
	Values  []struct{ JSON, Repr, Safe, Tuple string }
	Dialect []string
	Limited []struct {
		JSON string
		Safe map[string]string // by limit
	}
	Times [][2]string
}

func python(t testing.TB) pythonTable {
	t.Helper()
	table := golden[pythonTable](t, "python.json")
	if len(table.Floats) == 0 || len(table.Values) == 0 || len(table.Dialect) == 0 || len(table.Times) == 0 ||
		len(table.Limited) == 0 || len(table.Limited[0].Safe) == 0 {
		t.Fatal("python.json lacks a table")
	}
	return table
}

func decode(t testing.TB, data string) any {
	t.Helper()
	v, err := Decode([]byte(data))
	if err != nil {
		t.Fatalf("decode %s: %v", data, err)
	}
	return v
}
