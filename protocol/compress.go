package protocol

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// MaxBody is how large a body may become, in bytes, when it is decompressed or
// when msgpack, YAML or pickle is rewritten as JSON: a message of a few kilobytes
// can claim to hold gigabytes.
const MaxBody = 64 << 20

// compression is one entry of kombu's registry.
type compression struct {
	name    string   // what Task.Compression says
	mime    string   // what the header says
	aliases []string // what kombu also takes
	open    func([]byte) (io.Reader, error)
	create  func(w io.Writer, size int) (io.WriteCloser, error) // nil where we cannot write
}

var compressions = []compression{
	{"zlib", "application/x-gzip", []string{"gzip"}, openZlib, createZlib},
	{"bzip2", "application/x-bz2", []string{"bzip"}, openBzip2, nil},
	{"lzma", "application/x-lzma", []string{"xz"}, openXZ, createXZ},
	{"brotli", "application/x-brotli", nil, openBrotli, createBrotli},
	{"zstd", "application/zstd", []string{"zstandard"}, openZstd, createZstd},
}

func compressionOf(name string) (compression, bool) {
	for _, c := range compressions {
		if name == c.name || name == c.mime {
			return c, true
		}
		for _, alias := range c.aliases {
			if name == alias {
				return c, true
			}
		}
	}
	return compression{}, false
}

// Compress packs data by kombu's name, alias or MIME type of a compression and
// returns the MIME type that goes into the header compression: zlib or gzip
// (both mean a zlib stream, as in kombu), lzma or xz, brotli, zstd or zstandard.
// The empty name means none. bzip2 can be read but not written.
func Compress(name string, data []byte) (packed []byte, mime string, err error) {
	if name == "" {
		return data, "", nil
	}
	c, ok := compressionOf(name)
	if !ok {
		return nil, "", fmt.Errorf("compression %.60q is unknown: use zlib, zstd, brotli or lzma", name)
	}
	if c.create == nil {
		return nil, "", fmt.Errorf("compression %s can only be read: use zlib, which every peer reads", c.name)
	}
	var out bytes.Buffer
	w, err := c.create(&out, len(data))
	if err != nil {
		return nil, "", fmt.Errorf("compress with %s: %w", c.name, err)
	}
	if _, err = w.Write(data); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, "", fmt.Errorf("compress with %s: %w", c.name, err)
	}
	return out.Bytes(), c.mime, nil
}

// Decompress undoes a compression given by kombu's name, alias or MIME type. The
// empty name means none. Data that would grow beyond MaxBody is an error.
func Decompress(mime string, data []byte) ([]byte, error) {
	return decompress(mime, data, MaxBody)
}

func decompress(mime string, data []byte, limit int) ([]byte, error) {
	if mime == "" {
		return data, nil
	}
	c, ok := compressionOf(mime)
	if !ok {
		return nil, fmt.Errorf("compression %.60q is not supported", mime)
	}
	r, err := c.open(data)
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", c.name, err)
	}
	if closer, ok := r.(io.Closer); ok {
		defer closer.Close()
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", c.name, err)
	}
	if len(out) > limit {
		return nil, fmt.Errorf("larger than %d bytes when decompressed", limit)
	}
	return out, nil
}

func openZlib(data []byte) (io.Reader, error) { return zlib.NewReader(bytes.NewReader(data)) }

func createZlib(w io.Writer, _ int) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }

func openBzip2(data []byte) (io.Reader, error) { return bzip2.NewReader(bytes.NewReader(data)), nil }

func createXZ(w io.Writer, _ int) (io.WriteCloser, error) { return xz.NewWriter(w) }

func openBrotli(data []byte) (io.Reader, error) { return brotli.NewReader(bytes.NewReader(data)), nil }

func createBrotli(w io.Writer, _ int) (io.WriteCloser, error) { return brotli.NewWriter(w), nil }

func openZstd(data []byte) (io.Reader, error) {
	d, err := zstd.NewReader(bytes.NewReader(data),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxBody))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// createZstd says in the frame how much it holds: kombu before 5.7 reads no other.
func createZstd(w io.Writer, size int) (io.WriteCloser, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	e.ResetContentSize(w, int64(size))
	return e, nil
}
