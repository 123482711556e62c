package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestMsgpackReads(t *testing.T) {
	for in, want := range map[string]string{
		"c0": "null", "c3": "true", "c2": "false", "05": "5", "ff": "-1", "cc80": "128", "d080": "-128",
		"cfffffffffffffffff":   "18446744073709551615",
		"d38000000000000000":   "-9223372036854775808",
		"cb3ff0000000000000":   "1.0",
		"ca3f800000":           "1.0",
		"cb7ff8000000000000":   "NaN",
		"a26869":               `"hi"`,
		"d902c3a9":             `"\u00e9"`,
		"c4026869":             `{"__type__": "bytes", "__value__": "hi"}`,
		"c402ff00":             `{"__type__": "base64", "__value__": "/wA="}`,
		"c400":                 `{"__type__": "bytes", "__value__": ""}`,
		"9301a178c0":           `[1, "x", null]`,
		"dc000101":             "[1]",
		"82a16101a16290":       `{"a": 1, "b": []}`,
		"8101c0":               `{"1": null}`,
		"81c40161c0":           `{"a": null}`,
		"de0001a16181a16280":   `{"a": {"b": {}}}`,
		"dd0000000290dd000000": "",
	} {
		body, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := msgpackToJSON(body)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
}

func TestMsgpackRefuses(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"nothing":              {"", "EOF"},
		"the unused code":      {"\xc1", "0xc1"},
		"cut":                  {"\x92\x01", "EOF"},
		"more":                 {"\x01\x01", "after the value"},
		"an extension":         {"\xd4\x05\x00", "extension type 5"},
		"a timestamp":          {"\xd6\xff\x00\x00\x00\x00", "extension type -1"},
		"text that is none":    {"\xa1\xff", "UTF-8"},
		"a list as key":        {"\x81\x90\xc0", "key"},
		"a length of 4 GiB":    {"\xdb\xff\xff\xff\xffabc", "EOF"},
		"bytes of 4 GiB":       {"\xc6\xff\xff\xff\xffabc", "EOF"},
		"4 G elements":         {"\xdd\xff\xff\xff\xff\x01", "EOF"},
		"4 G members":          {"\xdf\xff\xff\xff\xff\xa1a\x01", "EOF"},
		"deep nesting":         {strings.Repeat("\x91", 1<<20), "nested deeper"},
		"growing beyond limit": {"\xdd\x00\x00\x00\xff" + strings.Repeat("\xc6\x00\x10\x00\x00"+strings.Repeat("\xff", 1<<20), 255), "larger than"},
	} {
		if got, err := msgpackToJSON([]byte(test.body)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %.80s, %v, want %q", name, got, err, test.want)
		}
	}
}

// A length that is claimed takes no memory.
func TestMsgpackClaims(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, body := range []string{"\xc6\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff"} {
		if _, err := msgpackToJSON([]byte(body)); err == nil {
			t.Errorf("%x is accepted", body)
		}
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
		t.Errorf("%d bytes were allocated", taken)
	}
}

func TestMsgpackWrites(t *testing.T) {
	for in, want := range map[string]string{
		`[1, -1, 300, 1.0, NaN]`:                       "9501ffcd012ccb3ff0000000000000cb7ff8000000000001",
		`18446744073709551615`:                         "cfffffffffffffffff",
		`{"b": "é", "a": {}}`:                          "82a162a2c3a9a16180",
		`{"__type__": "base64", "__value__": "/wA="}`:  "c402ff00",
		`{"__type__": "decimal", "__value__": "1.50"}`: "a4312e3530",
		`{"__type__": "money", "__value__": 1}`:        "82a85f5f747970655f5fa56d6f6e6579a95f5f76616c75655f5f01",
	} {
		got, err := jsonToMsgpack(Raw(in))
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x, %v, want %s", in, got, err, want)
		}
	}
	if got, err := jsonToMsgpack(Raw(`[18446744073709551616]`)); err == nil || !strings.Contains(err.Error(), "64 bits") {
		t.Errorf("a large integer became %x, %v", got, err)
	}
}

// FuzzMsgpack: what is accepted is JSON, and survives a round trip.
func FuzzMsgpack(f *testing.F) {
	for _, v := range python(f).Values {
		if packed, err := jsonToMsgpack(Raw(v.JSON)); err == nil {
			f.Add(packed)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := msgpackToJSON(data)
		if err != nil {
			return
		}
		packed, err := jsonToMsgpack(first)
		if err != nil {
			t.Fatalf("%x became %s: %v", data, first, err)
		}
		second, err := msgpackToJSON(packed)
		if err != nil || !bytes.Equal(withoutWrappers(t, first), withoutWrappers(t, second)) {
			t.Fatalf("%x became %s, written as %x, then %s, %v", data, first, packed, second, err)
		}
	})
}

// withoutWrappers is a value in the legacy dialect: an object that happens to
// look like a wrapped date goes out as a text.
func withoutWrappers(t *testing.T, raw Raw) Raw {
	t.Helper()
	v, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	out, err := MarshalLegacy(v)
	if err != nil {
		t.Fatal(errors.New("legacy: " + err.Error()))
	}
	return out
}
