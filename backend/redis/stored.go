package redis

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// compressedMark begins a value that was written with result_compression (Celery
// >= 5.7; older readers cannot decode it); the content type of the compression, a
// NUL and the compressed JSON follow. Results, saved groups and chord parts may
// all have it.
const compressedMark = "\x00celery-compressed\x00"

// maxValue is how many bytes Redis holds in a string.
const maxValue = 512 << 20

func (b *Backend) encodeResult(r *protocol.Result) ([]byte, error) {
	data, err := r.Encode()
	if err != nil {
		return nil, err
	}
	return b.encode(data)
}

// encode makes what is stored of JSON.
func (b *Backend) encode(json protocol.Raw) ([]byte, error) {
	data, _, _, err := protocol.SerializeResult(b.cfg.Serializer, json)
	if err != nil {
		return nil, err
	}
	if b.cfg.Compression != "" {
		packed, mime, err := protocol.Compress(b.cfg.Compression, data)
		if err != nil {
			return nil, err
		}
		data = append([]byte(compressedMark+mime+"\x00"), packed...)
	}
	return data, checkSize(len(data))
}

func checkSize(n int) error {
	if n > maxValue {
		return fmt.Errorf("%w: %d bytes, and Redis holds %d in a value: store it elsewhere and return where it is",
			backend.ErrTooLarge, n, maxValue)
	}
	return nil
}

// decodeResult reads the result stored for the id, which a foreign writer may
// have left out.
func (b *Backend) decodeResult(id string, stored []byte) (*protocol.Result, error) {
	data, err := b.plain(stored)
	if err != nil {
		return nil, err
	}
	r, err := protocol.DecodeResult(data)
	if err != nil {
		return nil, err
	}
	r.TaskID = cmp.Or(r.TaskID, id)
	return r, nil
}

// plain makes JSON of what is stored: it undoes in-band compression, whoever wrote
// it, and the serializer that all sides have agreed on.
func (b *Backend) plain(stored []byte) (protocol.Raw, error) {
	data := stored
	if rest, compressed := bytes.CutPrefix(stored, []byte(compressedMark)); compressed {
		mime, packed, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(mime) == 0 {
			return nil, errors.New("stored value is cut off after its compression mark")
		}
		var err error
		if data, err = protocol.Decompress(string(mime), packed); err != nil {
			return nil, fmt.Errorf("stored value: %w", err)
		}
	}
	serializer, isJSON := b.cfg.Serializer, len(data) > 0 && (data[0] == '{' || data[0] == '[')
	switch {
	case b.cfg.Serializer == "yaml": // whose texts may begin like JSON
	case isJSON:
		serializer = "json"
	case b.cfg.Serializer == "json" && len(data) > 0:
		return nil, fmt.Errorf("stored value is not JSON (it begins with 0x%02x): give this side the result_serializer of its writer", data[0])
	}
	body, err := protocol.DeserializeResult(serializer, data)
	if err != nil {
		return nil, fmt.Errorf("stored value: %w", err)
	}
	return body, nil
}
