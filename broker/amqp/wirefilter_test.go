package amqp

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// field is a table field or array element in wire form.
func long(kind byte, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body))), body...)
}

func named(name string, value []byte) []byte {
	return append(append([]byte{byte(len(name))}, name...), value...)
}

func big(kind byte) []byte { return []byte{kind, 0, 0, 1, 0x9a, 0xbc, 0xde, 0xf0, 0x4c} }

// contentHeader is the payload of a content header with content type, encoding,
// this header table and a delivery mode.
func contentHeader(table []byte) []byte {
	payload := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xf0, 0}
	payload = append(payload, 1, 'L', 5, 'u', 't', 'f', '-', '8')
	payload = append(payload, long(0, table)[1:]...)
	return append(payload, 2)
}

func frame(kind byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind, 0, 1}, uint32(len(payload)))
	return append(append(b, payload...), 0xce)
}

// table holds every type, with 64-bit integers of this kind at every level.
func table(kind byte) []byte {
	return bytes.Join([][]byte{
		named("top", big(kind)),
		named("text", long('S', []byte("LLLL L"))),
		named("bytes", long('x', []byte{'L', 0})),
		named("small", []byte{'I', 'L', 'L', 'L', 'L'}),
		named("L", []byte{'t', 1}),
		named("void", []byte{'V'}),
		named("real", append([]byte{'d'}, "LLLLLLLL"...)),
		named("decimal", append([]byte{'D'}, "LLLLL"...)),
		named("time", append([]byte{'T'}, "LLLLLLLL"...)),
		named("others", long('A', []byte("bLBLsLLuLLiLLLLfLLLL"))),
		named("stamps", long('F', named("deep", long('A', []byte{'V'}, big(kind), long('F', named("x", big(kind))))))),
		named("last", big(kind)),
	}, nil)
}

func TestFilterRewritesWideIntegers(t *testing.T) {
	stream := func(kind byte) []byte {
		return bytes.Join([][]byte{
			frame(1, []byte("a method with L")), frame(2, contentHeader(table(kind))), frame(3, []byte("a body: L")),
			frame(8, nil), frame(2, contentHeader(nil)), frame(2, contentHeader(named("n", big(kind)))), frame(3, nil),
		}, nil)
	}
	in, want := stream('L'), stream('l')
	for split := range in {
		got, err := io.ReadAll(newFilterConn(&fakeConn{Reader: io.MultiReader(bytes.NewReader(in[:split]), bytes.NewReader(in[split:]))}))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("split at byte %d: %v, got\n%q, want\n%q", split, err, got, want)
		}
	}
	got, err := io.ReadAll(iotest.OneByteReader(newFilterConn(&fakeConn{Reader: iotest.OneByteReader(bytes.NewReader(in))})))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("byte by byte: %v, got\n%q, want\n%q", err, got, want)
	}
}

func TestFilterHidesWhatTheLibraryRefuses(t *testing.T) {
	deep := long('A', big('L'))
	for range maxFieldDepth {
		deep = long('A', deep)
	}
	for name, value := range map[string][]byte{
		"deep":    deep,
		"many":    long('A', bytes.Repeat([]byte{'V'}, maxFieldElements+1)),
		"unknown": long('A', []byte{'?', 1, 2}),
		"cut":     long('F', []byte{9, 'a'}),
	} {
		in := contentHeader(bytes.Join([][]byte{named("a", value), named("b", big('L'))}, nil))
		rewriteContentHeader(in)
		rest := in[14+8+4:] // past the fixed part, the two short strings and the size of the table
		kind := rest[2]
		if name == "deep" {
			for kind == 'A' {
				rest = rest[5:]
				kind = rest[2]
			}
		}
		if kind != 'x' {
			t.Errorf("%s: is a %q, want a byte string", name, kind)
		}
		if !bytes.Contains(in, big('l')) {
			t.Errorf("%s: the next field was not rewritten", name)
		}
	}
}

func TestFilterPassesOnErrors(t *testing.T) {
	in := frame(2, contentHeader(table('L')))
	for cut := range in {
		_, err := io.ReadAll(newFilterConn(&fakeConn{Reader: bytes.NewReader(in[:cut])}))
		if want := cut > 0; (err != nil) != want {
			t.Errorf("cut at byte %d: %v, want an error: %v", cut, err, want)
		}
	}
}

type fakeConn struct {
	net.Conn
	io.Reader
}

func (c *fakeConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func FuzzRewriteContentHeader(f *testing.F) {
	f.Add(contentHeader(table('L')))
	f.Add(contentHeader(long('A', bytes.Repeat([]byte{'V'}, 9000))))
	f.Add([]byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x20, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		out := bytes.Clone(in)
		rewriteContentHeader(out)
		for i := range in {
			changed := in[i] != out[i]
			if changed && !(in[i] == 'L' && out[i] == 'l') && out[i] != 'x' {
				t.Fatalf("byte %d became %q, was %q", i, out[i], in[i])
			}
		}
		again := bytes.Clone(out)
		if rewriteContentHeader(again); !bytes.Equal(again, out) {
			t.Fatal("a second pass changed something")
		}
	})
}

func FuzzFilterConn(f *testing.F) {
	f.Add(frame(2, contentHeader(table('L'))), 3)
	f.Add(append(frame(1, []byte("xx")), frame(3, nil)...), 7)
	f.Fuzz(func(t *testing.T, in []byte, split int) {
		split = min(max(split, 0), len(in))
		whole, err1 := io.ReadAll(newFilterConn(&fakeConn{Reader: bytes.NewReader(in)}))
		parts, err2 := io.ReadAll(newFilterConn(&fakeConn{Reader: io.MultiReader(bytes.NewReader(in[:split]), bytes.NewReader(in[split:]))}))
		if !bytes.Equal(whole, parts) || (err1 == nil) != (err2 == nil) {
			t.Fatalf("split at %d: %q, %v; whole: %q, %v", split, parts, err2, whole, err1)
		}
		if len(whole) > len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(whole))
		}
	})
}
