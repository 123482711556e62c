package redis

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// compressedMark begins a value that Celery >= 5.7 wrote with
// result_compression; the content type of the compression, a NUL and the
// compressed JSON follow. Results, saved groups and chord parts may all have it.
var compressedMark = []byte("\x00celery-compressed\x00")

// maxPlain bounds what a compressed value may grow to: 512 MB, as much as Redis
// holds in an uncompressed one.
const maxPlain = 512 << 20

// plain undoes in-band compression. Zlib and bzip2 are read.
func plain(stored []byte) ([]byte, error) {
	if !bytes.HasPrefix(stored, compressedMark) {
		return checkJSON(stored)
	}
	mime, data, ok := bytes.Cut(stored[len(compressedMark):], []byte{0})
	if !ok {
		return nil, errors.New("stored value is cut off after its compression mark")
	}
	r, err := decompressor(string(mime), data)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("decompress stored value (%s): %w", mime, err)
	}
	if len(out) > maxPlain {
		return nil, fmt.Errorf("decompress stored value (%s): more than %d bytes", mime, maxPlain)
	}
	return checkJSON(out)
}

func decompressor(mime string, data []byte) (io.Reader, error) {
	switch mime {
	case "application/x-gzip": // kombu's name for zlib, whatever it says
		r, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("decompress stored value (%s): %w", mime, err)
		}
		return r, nil
	case "application/x-bz2":
		return bzip2.NewReader(bytes.NewReader(data)), nil
	}
	return nil, fmt.Errorf("stored value is compressed as %q, which Umbel does not read: set result_compression to zlib, gzip or bzip2, or leave it out", mime)
}

// checkJSON explains what is wrong when a peer uses another result_serializer,
// better than an error about the first byte would.
func checkJSON(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0] == '{' || data[0] == '[' {
		return data, nil
	}
	return nil, fmt.Errorf("stored value is not JSON (it begins with 0x%02x): Umbel reads result_serializer = 'json' alone", data[0])
}
