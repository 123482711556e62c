package protocol_test

import (
	"math"
	"testing"
	"time"

	"github.com/umbel-go/umbel/protocol"
)

type point struct {
	X     float64   `json:"x"`
	Label string    `json:"label,omitempty"`
	Raw   []byte    `json:"raw,omitempty"`
	At    time.Time `json:"at,omitzero"`
	skip  int
	Not   int `json:"-"`
}

type embedding struct {
	point
	N int `json:"n"`
}

// Structs keep Python's numbers: 1.0 stays a float, NaN is bare.
func TestMarshalStructs(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"float", point{X: 1, skip: 1, Not: 2}, `{"x": 1.0}`},
		{"NaN", &point{X: math.NaN()}, `{"x": NaN}`},
		{"all", point{X: 1e20, Label: "\u00e9", Raw: []byte("b"), At: at},
			`{"x": 1e+20, "label": "\u00e9", "raw": {"__type__": "bytes", "__value__": "b"}, "at": {"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}}`},
		{"nested", map[string]any{"p": []point{{X: 2}}}, `{"p": [{"x": 2.0}]}`},
		{"embedded", embedding{point{X: 2}, 3}, `{"x": 2.0, "n": 3}`},
		{"hidden by an outer name", struct {
			point
			X int `json:"x"`
		}{point{X: 2}, 3}, `{"x": 3}`},
		{"named embedded", struct {
			P point `json:"p"`
		}{point{X: 2}}, `{"p": {"x": 2.0}}`},
		{"nil embedded pointer", struct {
			*embedding
			A int
		}{nil, 1}, `{"A": 1}`},
		{"untagged", struct{ A, B int }{1, 2}, `{"A": 1, "B": 2}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := protocol.Marshal(tt.value)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}
