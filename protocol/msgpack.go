package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// msgpackToJSON reads what kombu's msgpack serializer writes (msgpack-python with
// use_bin_type): text as str, bytes as bin.
func msgpackToJSON(body []byte) ([]byte, error) {
	in := bytes.NewReader(body)
	r := msgpackReader{in: in, dec: msgpack.NewDecoder(in)}
	if err := r.value(); err != nil {
		return nil, fmt.Errorf("msgpack: %w", err)
	}
	if in.Len() > 0 {
		return nil, errors.New("msgpack: bytes after the value")
	}
	return r.out.buf, nil
}

type msgpackReader struct {
	in  *bytes.Reader // read by dec without a buffer of its own
	dec *msgpack.Decoder
	out jsonWriter
}

func (r *msgpackReader) value() error {
	code, err := r.dec.PeekCode()
	if err != nil {
		return err
	}
	switch {
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return r.object()
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return r.array()
	}
	v, err := r.scalar(code)
	if err != nil {
		return err
	}
	return r.out.scalar(v)
}

func (r *msgpackReader) array() error {
	n, err := r.dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	if err := r.out.enter('['); err != nil {
		return err
	}
	for i := range n {
		if err := r.out.element(i); err != nil {
			return err
		}
		if err := r.value(); err != nil {
			return err
		}
	}
	r.out.leave(']')
	return nil
}

func (r *msgpackReader) object() error {
	n, err := r.dec.DecodeMapLen()
	if err != nil {
		return err
	}
	if err := r.out.enter('{'); err != nil {
		return err
	}
	for i := range n {
		if err := r.out.element(i); err != nil {
			return err
		}
		code, err := r.dec.PeekCode()
		if err != nil {
			return err
		}
		name, err := r.scalar(code)
		if err != nil {
			return fmt.Errorf("mapping key: %w", err)
		}
		if err := r.out.key(name); err != nil {
			return err
		}
		if err := r.value(); err != nil {
			return err
		}
	}
	r.out.leave('}')
	return nil
}

func (r *msgpackReader) scalar(code byte) (any, error) {
	switch {
	case code == msgpcode.Nil:
		return nil, r.dec.DecodeNil()
	case code == msgpcode.True, code == msgpcode.False:
		return r.dec.DecodeBool()
	case code == msgpcode.Float, code == msgpcode.Double:
		return r.dec.DecodeFloat64()
	case code == msgpcode.Uint64:
		return r.dec.DecodeUint64()
	case msgpcode.IsFixedNum(code), code >= msgpcode.Uint8 && code <= msgpcode.Int64:
		return r.dec.DecodeInt64()
	case msgpcode.IsString(code):
		b, err := r.bytes()
		if err == nil && !utf8.Valid(b) {
			err = errors.New("text that is not valid UTF-8")
		}
		return string(b), err
	case msgpcode.IsBin(code):
		b, err := r.bytes()
		return b, err
	case msgpcode.IsExt(code):
		id, _, err := r.dec.DecodeExtHeader()
		if err == nil {
			err = fmt.Errorf("extension type %d has no meaning to Celery: send its value as text, bytes or a number", id)
		}
		return nil, err
	}
	return nil, fmt.Errorf("byte %#x where a value begins", code)
}

// bytes reads the content of a text or of bytes. The library's own way allocates
// whatever length is claimed, up to 4 GiB, before it looks how much there is.
func (r *msgpackReader) bytes() ([]byte, error) {
	n, err := r.dec.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	if n > r.in.Len() {
		return nil, io.ErrUnexpectedEOF
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r.in, b)
	return b, err
}

// jsonToMsgpack writes what msgpack-python with use_bin_type would.
func jsonToMsgpack(body Raw) ([]byte, error) {
	v, err := Decode(body)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := encodeMsgpack(msgpack.NewEncoder(&out), v); err != nil {
		return nil, fmt.Errorf("msgpack: %w", err)
	}
	return out.Bytes(), nil
}

func encodeMsgpack(enc *msgpack.Encoder, v any) error {
	switch v := v.(type) {
	case string:
		return enc.EncodeString(v)
	case json.Number:
		return encodeMsgpackNumber(enc, v)
	case []any:
		if err := enc.EncodeArrayLen(len(v)); err != nil {
			return err
		}
		for _, e := range v {
			if err := encodeMsgpack(enc, e); err != nil {
				return err
			}
		}
		return nil
	case Object:
		if plain, ok := plainWrapped(v); ok {
			if b, ok := plain.([]byte); ok {
				return enc.EncodeBytes(b)
			}
			return encodeMsgpack(enc, plain)
		}
		if err := enc.EncodeMapLen(len(v)); err != nil {
			return err
		}
		for _, f := range v {
			if err := enc.EncodeString(f.Name); err != nil {
				return err
			}
			if err := encodeMsgpack(enc, f.Value); err != nil {
				return err
			}
		}
		return nil
	}
	return enc.Encode(v) // null and booleans
}

func encodeMsgpackNumber(enc *msgpack.Encoder, n json.Number) error {
	if !isInteger(n) {
		return enc.EncodeFloat64(Float(n))
	}
	i, ok := new(big.Int).SetString(string(n), 10)
	switch {
	case ok && i.IsInt64():
		return enc.EncodeInt(i.Int64())
	case ok && i.IsUint64():
		return enc.EncodeUint(i.Uint64())
	}
	return fmt.Errorf("the integer %.30s is beyond 64 bits: send it as json", n)
}
