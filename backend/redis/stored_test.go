package redis

import (
	"bytes"
	"errors"
	"testing"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

func TestCheckSize(t *testing.T) {
	if err := checkSize(512 << 20); err != nil {
		t.Errorf("512 MB: %v", err)
	}
	if err := checkSize(512<<20 + 1); !errors.Is(err, backend.ErrTooLarge) {
		t.Errorf("more: %v", err)
	}
}

func FuzzStoredValue(f *testing.F) {
	packing := &Backend{cfg: Config{Compression: "zlib", Serializer: "json"}}
	packed, err := packing.encode([]byte(`{"status": "SUCCESS", "result": 1}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte(`{"status": "SUCCESS"}`))
	f.Add([]byte("\x00celery-compressed\x00application/x-bz2\x00BZh9"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		data, err := packing.plain(stored)
		if err != nil {
			return
		}
		again, err := packing.encode(data)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := packing.plain(again); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q came back as %q, %v", data, back, err)
		}
	})
}

func FuzzChordPart(f *testing.F) {
	for _, seed := range []string{
		`[1, "id", "SUCCESS", {"k": [1.0, NaN]}]`, `[1, "id", "FAILURE", {"exc_type": "E", "exc_message": [], "exc_module": "m"}] `,
		`[1, "id", null, 3]`, `[]`, "\x80\x04",
	} {
		f.Add([]byte(seed))
	}
	b := &Backend{cfg: Config{Serializer: "json"}}
	f.Fuzz(func(t *testing.T, stored []byte) {
		r, err := b.readPart(stored)
		if err != nil {
			if failed := b.decodePart(stored); failed.Status != protocol.StateFailure {
				t.Fatalf("an unreadable part is %+v", failed)
			}
			return
		}
		part, err := b.encodePart(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		if back, err := b.readPart(part); err != nil || back.TaskID != r.TaskID || back.Status != r.Status {
			t.Fatalf("%q became %s: %v", stored, part, err)
		}
	})
}
