package store

import (
	"encoding/hex"
	"fmt"
)

// id is a task id as it is stored: nil for "", 16 bytes for a canonical
// lower-case UUID, else text.
func id(s string) any {
	if s == "" {
		return nil
	}
	if b, ok := packUUID(s); ok {
		return b
	}
	return s
}

// unpackID reads what id stored.
func unpackID(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		if len(v) != 16 {
			return "", fmt.Errorf("a stored task id of %d bytes", len(v))
		}
		var out [36]byte
		hex.Encode(out[0:8], v[0:4])
		hex.Encode(out[9:13], v[4:6])
		hex.Encode(out[14:18], v[6:8])
		hex.Encode(out[19:23], v[8:10])
		hex.Encode(out[24:36], v[10:16])
		out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
		return string(out[:]), nil
	}
	return "", fmt.Errorf("a stored task id of type %T", v)
}

func packUUID(s string) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return nil, false
	}
	digits := make([]byte, 0, 32)
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
			digits = append(digits, c)
		default:
			return nil, false
		}
	}
	out := make([]byte, 16)
	if _, err := hex.Decode(out, digits); err != nil {
		return nil, false
	}
	return out, true
}

// uuidText is the SQL expression for the text of an id.
const uuidText = `CASE typeof(id) WHEN 'text' THEN id ELSE lower(
	substr(hex(id),1,8) || '-' || substr(hex(id),9,4) || '-' || substr(hex(id),13,4) || '-' ||
	substr(hex(id),17,4) || '-' || substr(hex(id),21)) END`
