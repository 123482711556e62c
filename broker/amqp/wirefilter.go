package amqp

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
)

// AMQP 0-9-1 framing: type, channel (2 bytes), payload size (4 bytes), payload,
// end mark.
const (
	frameHeaderSize  = 7
	frameTypeContent = 2
	frameEndSize     = 1
	// maxContentHeader is above every frame_max that RabbitMQ negotiates; a
	// larger frame is left for the library to refuse.
	maxContentHeader = 1 << 20
)

// filterConn is a connection whose incoming content headers are rewritten by
// rewriteContentHeader, because a header table that the library cannot read
// makes it close the whole connection, and the message comes again for ever.
// Everything else passes unchanged. It must stand above TLS.
type filterConn struct {
	net.Conn
	in *bufio.Reader
	// ready is what was examined and is still to be handed out; after it pass
	// bytes are handed out unexamined.
	ready []byte
	pass  int64
	frame []byte
}

func newFilterConn(conn net.Conn) *filterConn {
	return &filterConn{Conn: conn, in: bufio.NewReaderSize(conn, 1<<16)}
}

// Read implements net.Conn. Frames may arrive in pieces of any size.
func (c *filterConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.ready) == 0 && c.pass == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.ready) > 0 {
		n := copy(p, c.ready)
		c.ready = c.ready[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.pass)])
	c.pass -= int64(n)
	return n, err
}

// next reads the head of a frame, and all of it when it is a content header.
func (c *filterConn) next() error {
	c.frame = append(c.frame[:0], make([]byte, frameHeaderSize)...)
	if _, err := io.ReadFull(c.in, c.frame); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(c.frame[3:]))
	if c.frame[0] != frameTypeContent || size > maxContentHeader {
		c.ready, c.pass = c.frame, size+frameEndSize
		return nil
	}
	c.frame = append(c.frame, make([]byte, size+frameEndSize)...)
	if _, err := io.ReadFull(c.in, c.frame[frameHeaderSize:]); err == io.EOF {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	rewriteContentHeader(c.frame[frameHeaderSize : frameHeaderSize+size])
	c.ready = c.frame
	return nil
}

// The library's own limits for header tables: beyond them it refuses the frame.
const (
	maxFieldDepth    = 32
	maxFieldElements = 8192
)

// rewriteContentHeader changes, in place, what the library cannot read in the
// header table of a content header payload (class, weight, body size, property
// flags, properties):
//
//   - type L (py-amqp's and RabbitMQ's name of a signed 64-bit integer) becomes
//     l, which has the same layout;
//   - arrays and tables that are too deep or have too many members become byte
//     strings (x), which have the same layout, too.
//
// What it does not understand it leaves alone.
func rewriteContentHeader(payload []byte) {
	const (
		fixed           = 2 + 2 + 8 + 2
		flagType        = 1 << 15
		flagEncoding    = 1 << 14
		flagHeaderTable = 1 << 13
	)
	if len(payload) < fixed {
		return
	}
	flags := binary.BigEndian.Uint16(payload[fixed-2:])
	if flags&flagHeaderTable == 0 {
		return
	}
	rest := payload[fixed:]
	for _, short := range []uint16{flagType, flagEncoding} {
		if flags&short == 0 {
			continue
		}
		if len(rest) < 1 || len(rest) < 1+int(rest[0]) {
			return
		}
		rest = rest[1+int(rest[0]):]
	}
	if table, _, ok := longField(rest); ok {
		rewriteTable(table, 0)
	}
}

// rewriteTable reports whether the library can read the table afterwards.
func rewriteTable(table []byte, depth int) bool {
	for n := 0; len(table) > 0; n++ {
		if n == maxFieldElements || len(table) < 1+int(table[0]) {
			return false
		}
		rest, ok := rewriteValue(table[1+int(table[0]):], depth)
		if !ok {
			return false
		}
		table = rest
	}
	return true
}

func rewriteArray(array []byte, depth int) bool {
	for n := 0; len(array) > 0; n++ {
		if n == maxFieldElements {
			return false
		}
		rest, ok := rewriteValue(array, depth)
		if !ok {
			return false
		}
		array = rest
	}
	return true
}

// fieldSizes are the sizes of the values of fixed length.
var fieldSizes = map[byte]int{
	't': 1, 'b': 1, 'B': 1, 's': 2, 'u': 2, 'I': 4, 'i': 4, 'l': 8, 'L': 8,
	'f': 4, 'd': 8, 'D': 5, 'T': 8, 'V': 0,
}

// rewriteValue treats one value that begins with its type and returns what
// follows it.
func rewriteValue(value []byte, depth int) (rest []byte, ok bool) {
	if len(value) == 0 {
		return nil, false
	}
	kind := value[0]
	if size, fixed := fieldSizes[kind]; fixed {
		if len(value) < 1+size {
			return nil, false
		}
		if kind == 'L' {
			value[0] = 'l'
		}
		return value[1+size:], true
	}
	content, rest, ok := longField(value[1:])
	if !ok {
		return nil, false
	}
	readable := true
	switch kind {
	case 'S', 'x':
	case 'F':
		readable = depth < maxFieldDepth && rewriteTable(content, depth+1)
	case 'A':
		readable = depth < maxFieldDepth && rewriteArray(content, depth+1)
	default:
		return nil, false
	}
	if !readable {
		value[0] = 'x'
	}
	return rest, true
}

// longField splits a value with a 4-byte length in front from what follows it.
func longField(b []byte) (content, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > int64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}
