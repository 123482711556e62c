package protocol

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// Pickles that Python wrote, protocols 2 to 5.
func TestPickleReads(t *testing.T) {
	for _, row := range pickleTable(t) {
		body, err := hex.DecodeString(row[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := pickleToJSON(body)
		if err != nil || string(got) != row[2] {
			t.Errorf("%s: got %s, %v, want %s", row[0], got, err, row[2])
		}
	}
}

// pickleTable has, for each value and protocol, a name, the pickle in hex, and
// the value as kombu's JSON.
func pickleTable(t testing.TB) [][3]string {
	t.Helper()
	table := golden[struct{ Pickles [][3]string }](t, "python.json").Pickles
	if len(table) < 40 {
		t.Fatal("python.json lacks the table of pickles")
	}
	return table
}

func TestPickleRefuses(t *testing.T) {
	list := func(n int) string { return "]\x94" + strings.Repeat("h\x00a", n) }
	for name, test := range map[string]struct{ body, want string }{
		"nothing":              {"", "EOF"},
		"no stop":              {"\x80\x04N", "EOF"},
		"a call of nothing":    {"K\x01K\x01R.", "operands"},
		"os.system, called":    {"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", `"os.system" is no plain value`},
		"a stack global":       {"\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", `"os.system" is no plain value`},
		"a bare class":         {"\x8c\x02os\x8c\x06system\x93.", `"os.system" is no plain value`},
		"an object":            {"cshop\nOrder\n)\x81.", `"shop.Order" is no plain value`},
		"a state":              {"}}b.", "no plain value"},
		"getattr":              {"cbuiltins\ngetattr\n\x8c\x02os\x8c\x06system\x86R.", `"builtins.getattr" is no plain value`},
		"eval":                 {"cbuiltins\neval\n\x8c\x01x\x85R.", `"builtins.eval" is no plain value`},
		"a timedelta":          {"cdatetime\ntimedelta\nK\x01K\x00K\x00\x87R.", `"datetime.timedelta" is no plain value`},
		"a date of letters":    {"cdatetime\ndatetime\nC\x0aabcdefghij\x85R.", "no plain value"},
		"INST":                 {"(ios\nsystem\n.", "instruction 0x69"},
		"a persistent id":      {"Px\n.", "instruction 0x50"},
		"an extension":         {"\x82\x01.", "instruction 0x82"},
		"an out-of-band thing": {"\x97.", "instruction 0x97"},
		"pop of nothing":       {".", "operands"},
		"no mark":              {"t.", "operands"},
		"a mark as value":      {"(.", "operands"},
		"append to a number":   {"K\x01K\x02a.", "without a container"},
		"half a member":        {"}(K\x01u.", "without a container"},
		"an empty memo":        {"h\x05.", "reference to nothing"},
		"a long length":        {"B\xff\xff\xff\xff", "EOF"},
		"a longer length":      {"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "EOF"},
		"a list in itself":     {list(1) + ".", "nested deeper"},
		"deep nesting":         {strings.Repeat("]", 5000) + strings.Repeat("a", 4999) + ".", "nested deeper"},
		"a list as key":        {"}]Ns.", "key"},
		"text that is none":    {"\x8c\x01\xff.", "UTF-8"},
		"a long integer":       {"\x8b\xff\xff\x00\x00" + strings.Repeat("x", 0xffff) + ".", "an integer of"},
		"billion laughs":       {laughingPickle("B\x00\x00\x01\x00"+strings.Repeat("\xff", 1<<16), 40), "larger than"},
	} {
		if got, err := pickleToJSON([]byte(test.body)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %.80s, %v, want %q", name, got, err, test.want)
		}
	}
	var e *Error
	if _, err := pickleToJSON([]byte("cos\nsystem\n.")); !errors.As(err, &e) || e.Kind != KindContent {
		t.Errorf("a class is refused with %v", err)
	}
}

// laughingPickle is a list of a list twice, and so on.
func laughingPickle(leaf string, levels int) string {
	s := leaf + "\x94"
	for i := range levels {
		s += "]\x94(h" + string(rune(i)) + "h" + string(rune(i)) + "e"
	}
	return s + "."
}

func FuzzPickle(f *testing.F) {
	for _, row := range pickleTable(f) {
		if body, err := hex.DecodeString(row[1]); err == nil {
			f.Add(body)
		}
	}
	f.Add([]byte(laughingPickle("]", 10)))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := pickleToJSON(data)
		if err != nil {
			return
		}
		if _, err := Decode(got); err != nil {
			t.Fatalf("%x became %s: %v", data, got, err)
		}
	})
}
