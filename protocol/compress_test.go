package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestCompressAndBack(t *testing.T) {
	long := []byte(strings.Repeat("some text, repeated; ", 10_000))
	for alias, mime := range map[string]string{
		"zlib": "application/x-gzip", "gzip": "application/x-gzip", "application/x-gzip": "application/x-gzip",
		"lzma": "application/x-lzma", "xz": "application/x-lzma", "brotli": "application/x-brotli",
		"zstd": "application/zstd", "zstandard": "application/zstd",
	} {
		for _, data := range [][]byte{{}, []byte("x"), long} {
			packed, got, err := Compress(alias, data)
			if err != nil || got != mime {
				t.Fatalf("%s: %q, %v", alias, got, err)
			}
			back, err := Decompress(alias, packed)
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%s: %d bytes came back as %d, %v", alias, len(data), len(back), err)
			}
			if len(data) > 1 && (bytes.Equal(packed, data) || len(packed) >= len(data)) {
				t.Errorf("%s: nothing is compressed", alias)
			}
		}
	}
}

func TestCompressRefuses(t *testing.T) {
	for name, want := range map[string]string{"bzip2": "use zlib", "lz4": "is unknown: use zlib"} {
		if _, _, err := Compress(name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	same, mime, err := Compress("", []byte("x"))
	if string(same) != "x" || mime != "" || err != nil {
		t.Errorf("no compression: %q %q %v", same, mime, err)
	}
	for _, c := range compressions {
		packed := packedWith(t, c.name, []byte(`[[1], {}, {}]`))
		for name, damaged := range map[string][]byte{"garbage": []byte("garbage!"), "cut": packed[:len(packed)/2]} {
			if got, err := Decompress(c.mime, damaged); err == nil {
				t.Errorf("%s: %s data became %q", c.name, name, got)
			}
		}
	}
}

// packedWith compresses also with what we only read.
func packedWith(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	if name == "bzip2" { // Python's bz2.compress(b"[[1], {}, {}]")
		packed, err := hex.DecodeString("425a68393141592653598a7147f70000031a8040042000000a000a20002128" + "1e908602ce898ea43c5dc914e1424229c51fdc")
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	packed, _, err := Compress(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// A bomb is stopped at the limit.
func TestDecompressBombs(t *testing.T) {
	const limit = 1 << 20
	zeros := make([]byte, limit+1)
	for _, c := range compressions {
		if c.create == nil {
			continue
		}
		if got, err := decompress(c.name, packedWith(t, c.name, zeros), limit); err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
		if got, err := decompress(c.name, packedWith(t, c.name, zeros[:limit]), limit); err != nil || len(got) != limit {
			t.Errorf("%s: the limit itself: %d bytes, %v", c.name, len(got), err)
		}
	}
	if _, err := Decompress("zstd", packedWith(t, "zstd", make([]byte, MaxBody+1))); err == nil {
		t.Error("MaxBody does not hold")
	}
}

// An xz block that claims a dictionary of 4 GiB gets none of that size.
func TestXZDictionaryClaim(t *testing.T) {
	packed := packedWith(t, "lzma", []byte("some text"))
	header := packed[12 : 12+4*(int(packed[12])+1)]
	at := bytes.Index(header, []byte{0x21, 1})
	header[at+2] = 40 // 4 GiB - 1
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := Decompress("lzma", packed)
	runtime.ReadMemStats(&after)
	if err != nil || string(got) != "some text" {
		t.Fatalf("%q, %v", got, err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 4*MaxBody {
		t.Errorf("%d bytes were allocated", taken)
	}
}

func TestXZChecksItsSum(t *testing.T) {
	packed := packedWith(t, "lzma", []byte("some text that is long enough to stand there"))
	at := bytes.Index(packed, []byte("some text"))
	if at < 0 {
		t.Fatal("the text is not stored as it is")
	}
	packed[at] = 'S'
	if _, err := Decompress("lzma", packed); err == nil || !strings.Contains(err.Error(), "check sum") {
		t.Errorf("damaged data: %v", err)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, c := range compressions {
		packed, _, err := Compress(c.name, []byte("[[1, 2], {}, {}]"))
		if err == nil {
			f.Add(c.name, packed)
		}
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		out, err := Decompress(name, data)
		if err == nil && len(out) > MaxBody {
			t.Fatalf("%d bytes", len(out))
		}
	})
}

// python-zstandard's one-shot decompress, which kombu used before 5.7, refuses a
// frame that does not say how much it holds.
func TestZstdSaysItsSize(t *testing.T) {
	for _, size := range []int{1, 300, 70_000} {
		var h zstd.Header
		if err := h.Decode(packedWith(t, "zstd", make([]byte, size))); err != nil || !h.HasFCS || h.FrameContentSize != uint64(size) {
			t.Errorf("%d bytes: %+v, %v", size, h, err)
		}
	}
}
