package protocol

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader reads the .xz container that Python's lzma module writes: one stream
// of LZMA2 blocks. The library's own reader allocates whatever dictionary a
// block claims, up to 4 GiB; here it never exceeds MaxBody, which is enough for
// any body that is accepted.
type xzReader struct {
	in      *bytes.Reader
	newHash func() hash.Hash
	block   io.Reader // nil between blocks
	sum     hash.Hash
	left    int // bytes of in when the block's data began
}

var xzMagic = []byte{0xfd, '7', 'z', 'X', 'Z', 0}

func openXZ(data []byte) (io.Reader, error) {
	const headerLen = 12
	if len(data) < headerLen || !bytes.HasPrefix(data, xzMagic) {
		return nil, errors.New("not an xz stream")
	}
	if crc32.ChecksumIEEE(data[6:8]) != binary.LittleEndian.Uint32(data[8:]) {
		return nil, errors.New("damaged stream header")
	}
	r := &xzReader{in: bytes.NewReader(data[headerLen:])}
	switch data[7] {
	case 0:
	case 1:
		r.newHash = func() hash.Hash { return crc32.NewIEEE() }
	case 4:
		r.newHash = func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }
	case 10:
		r.newHash = sha256.New
	default:
		return nil, fmt.Errorf("unknown check %d", data[7])
	}
	return r, nil
}

func (r *xzReader) Read(p []byte) (int, error) {
	for {
		if r.block == nil {
			if err := r.nextBlock(); err != nil {
				return 0, err
			}
		}
		n, err := r.block.Read(p)
		if r.sum != nil {
			r.sum.Write(p[:n])
		}
		if err == io.EOF {
			err = r.endBlock()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// nextBlock reads a block header. The index that follows the last block only
// repeats sizes, so that the data ends there.
func (r *xzReader) nextBlock() error {
	size, err := r.in.ReadByte()
	if err != nil {
		return io.ErrUnexpectedEOF
	}
	if size == 0 {
		return io.EOF
	}
	header := make([]byte, 4*(int(size)+1))
	header[0] = size
	if _, err := io.ReadFull(r.in, header[1:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	body, sum := header[:len(header)-4], header[len(header)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) {
		return errors.New("damaged block header")
	}
	capacity, err := xzDictionary(body[1:])
	if err != nil {
		return err
	}
	r.left = r.in.Len()
	if r.newHash != nil {
		r.sum = r.newHash()
	}
	r.block, err = lzma.Reader2Config{DictCap: capacity}.NewReader2(r.in)
	return err
}

// xzDictionary reads the flags, the optional sizes and the only filter of a
// block header, and returns how large a dictionary the block needs.
func xzDictionary(header []byte) (int, error) {
	flags, rest := header[0], header[1:]
	for _, has := range []byte{0x40, 0x80} { // compressed and uncompressed size
		if flags&has != 0 {
			_, n := binary.Uvarint(rest)
			if n <= 0 {
				return 0, errors.New("damaged block header")
			}
			rest = rest[n:]
		}
	}
	const lzma2 = 0x21
	if flags&0x3f != 0 || len(rest) < 3 || rest[0] != lzma2 || rest[1] != 1 {
		return 0, errors.New("a filter other than LZMA2")
	}
	capacity, err := lzma.DecodeDictCap(rest[2])
	return int(min(max(capacity, lzma.MinDictCap), MaxBody)), err
}

// endBlock reads the padding and the check behind the data of a block.
func (r *xzReader) endBlock() error {
	r.block = nil
	padding := (4 - (r.left-r.in.Len())%4) % 4
	want := make([]byte, padding, padding+sha256.Size)
	if r.sum != nil {
		want = want[:padding+r.sum.Size()]
	}
	if _, err := io.ReadFull(r.in, want); err != nil {
		return io.ErrUnexpectedEOF
	}
	if r.sum == nil {
		return nil
	}
	got := r.sum.Sum(nil)
	if r.sum.Size() <= 8 { // the CRCs are little-endian
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
	}
	if !bytes.Equal(got, want[padding:]) {
		return errors.New("wrong check sum")
	}
	return nil
}
