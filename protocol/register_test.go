package protocol

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// money is registered for all tests of this package; Python's codec.py has the
// same marker.
type money struct {
	Amount   int
	Currency string
}

type mood int

func init() {
	RegisterType("money",
		func(m money) (any, error) {
			if m.Currency == "" {
				return nil, errors.New("no currency")
			}
			return map[string]any{"amount": m.Amount, "currency": m.Currency}, nil
		},
		func(raw Raw) (m money, err error) {
			var wire struct {
				Amount   int
				Currency string
			}
			err = Unmarshal(raw, &wire)
			return money(wire), err
		})
	RegisterType("mood",
		func(m mood) (any, error) { return time.Unix(int64(m), 0), nil }, // a wrapper in a wrapper
		func(raw Raw) (mood, error) {
			var at time.Time
			err := Unmarshal(raw, &at)
			return mood(at.Unix()), err
		})
}

const fiveEuro = `{"__type__": "money", "__value__": {"amount": 5, "currency": "EUR"}}`

func TestRegisteredType(t *testing.T) {
	type order struct {
		Price  money          `json:"price"`
		Tip    *money         `json:"tip"`
		Prices []money        `json:"prices"`
		By     map[mood]money `json:"by,omitempty"`
		Mood   mood           `json:"mood"`
		Any    any            `json:"any"`
	}
	in := order{Price: money{5, "EUR"}, Prices: []money{{5, "EUR"}}, Mood: 60, Any: []any{money{5, "EUR"}}}
	raw, err := Marshal(in)
	want := `{"price": ` + fiveEuro + `, "tip": null, "prices": [` + fiveEuro + `], "mood": {"__type__": "mood", "__value__": ` +
		`{"__type__": "datetime", "__value__": "1970-01-01T00:01:00+00:00"}}, "any": [` + fiveEuro + `]}`
	if err != nil || string(raw) != want {
		t.Fatalf("got %s, %v\nwant %s", raw, err, want)
	}
	var out order
	if err := Unmarshal(raw, &out); err != nil || !reflect.DeepEqual(out, in) {
		t.Errorf("got %+v, %v", out, err)
	}
	if legacy, err := MarshalLegacy(in.Price); err != nil || string(legacy) != `{"amount": 5, "currency": "EUR"}` {
		t.Errorf("legacy: %s, %v", legacy, err)
	}
}

func TestRegisteredTypeErrors(t *testing.T) {
	if _, err := Marshal([]any{money{}}); err == nil || !strings.Contains(err.Error(), "no currency") {
		t.Errorf("write: %v", err)
	}
	var m money
	if err := Unmarshal(Raw(`{"__type__": "money", "__value__": 5}`), &m); err == nil || !strings.Contains(err.Error(), `read "money"`) {
		t.Errorf("read: %v", err)
	}
	var v any
	if err := Unmarshal(Raw(`{"__type__": "money", "__value__": 5}`), &v); err == nil {
		t.Errorf("read into an any: %v", v)
	}
}

func TestRegisterTypePanics(t *testing.T) {
	type other struct{}
	for name, register := range map[string]func(){
		"a marker twice":     func() { RegisterType[other]("money", nil, nil) },
		"a type twice":       func() { RegisterType[money]("money2", nil, nil) },
		"a reserved marker":  func() { RegisterType[other]("datetime", nil, nil) },
		"no marker":          func() { RegisterType[other]("", nil, nil) },
		"a pointer":          func() { RegisterType[*other]("p", nil, nil) },
		"an interface":       func() { RegisterType[error]("e", nil, nil) },
		"a type of our own":  func() { RegisterType[time.Time]("date", nil, nil) },
		"a type of Go's own": func() { RegisterType[int]("i", nil, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is accepted", name)
				}
			}()
			register()
		}()
	}
}

// MarshalLegacy is compared with what kombu 5.2 writes.
func TestMarshalLegacy(t *testing.T) {
	at := time.Date(2026, 11, 20, 17, 36, 49, 671927000, time.UTC)
	for _, test := range []struct {
		in   any
		want string
	}{
		{at, `"2026-11-20T17:36:49.671927Z"`},
		{&at, `"2026-11-20T17:36:49.671927Z"`},
		{map[string]any{"t": []time.Time{at}}, `{"t": ["2026-11-20T17:36:49.671927Z"]}`},
		{[]byte("é"), `"\u00e9"`},
		{[]byte{0xff}, `"/w=="`},
		{math.NaN(), "NaN"},
		{Raw(`[1.0, {"__type__": "datetime", "__value__": "2026-11-20T17:36:49+02:00"}]`), `[1.0, "2026-11-20T17:36:49+02:00"]`},
		{Raw(`{"__type__": "datetime", "__value__": "2026-11-20T17:36:49"}`), `"2026-11-20T17:36:49"`},
		{Raw(`{"__type__": "date", "__value__": "2026-11-20"}`), `"2026-11-20T00:00:00"`},
		{Raw(`{"__type__": "time", "__value__": "10:00:00"}`), `"10:00:00"`},
		{Raw(`{"__type__": "decimal", "__value__": "1.50"}`), `"1.50"`},
		{Raw(`{"__type__": "uuid", "__value__": {"hex": "12345678123456781234567812345678"}}`), `"12345678-1234-5678-1234-567812345678"`},
		{Raw(`{"__type__": "strange", "__value__": 1}`), `{"__type__": "strange", "__value__": 1}`},
		{Signature{Task: "t", Args: []any{at}}, `{"task": "t", "args": ["2026-11-20T17:36:49.671927Z"], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}`},
	} {
		if got, err := MarshalLegacy(test.in); err != nil || string(got) != test.want {
			t.Errorf("%v: got %s, %v, want %s", test.in, got, err, test.want)
		}
	}
}
