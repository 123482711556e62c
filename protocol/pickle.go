package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

// pickleToJSON reads a pickle of plain values, protocols 2 to 5. A pickle is a
// program for a stack machine that may call anything; this machine has no way
// to call: what Python would call must be in the short list of pickleCall,
// everything else is refused by name. (og-rek, the library for this, keeps
// dictionaries in Go maps, which lose the order of keyword arguments.)
func pickleToJSON(body []byte) ([]byte, error) {
	m := pickleMachine{in: body, memo: map[uint32]any{}}
	v, err := m.run()
	if err != nil {
		return nil, fmt.Errorf("pickle at byte %d: %w", len(body)-len(m.in), err)
	}
	w := pickleWriter{}
	if err := w.value(v); err != nil {
		return nil, fmt.Errorf("pickle: %w", err)
	}
	return w.out.buf, nil
}

// Values on the stack are what Marshal takes as a scalar, and these.
type (
	pickleTuple []any
	// pickleList is also a set. It is filled after it was memoized.
	pickleList struct{ items []any }
	pickleDict struct{ items []any } // key, value, key, value ...
	// pickleGlobal names a class or function, "module.name".
	pickleGlobal string
	pickleMark   struct{}
)

type pickleMachine struct {
	in    []byte // what is not read yet
	stack []any
	memo  map[uint32]any
}

func (m *pickleMachine) run() (any, error) {
	for {
		op, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' {
			return m.pop()
		}
		if err := m.step(op[0]); err != nil {
			return nil, err
		}
	}
}

// step carries out one instruction, by the names of Python's pickletools.
func (m *pickleMachine) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		_, err := m.take(1)
		return err
	case 0x95: // FRAME
		_, err := m.take(8)
		return err
	case '(': // MARK
		return m.push(pickleMark{}, nil)
	case ']', 0x8f: // EMPTY_LIST, EMPTY_SET
		return m.push(&pickleList{}, nil)
	case '}': // EMPTY_DICT
		return m.push(&pickleDict{}, nil)
	case ')': // EMPTY_TUPLE
		return m.push(pickleTuple{}, nil)
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		items, err := m.popN(int(op - 0x84))
		return m.push(pickleTuple(items), err)
	case 't': // TUPLE
		items, err := m.popMark()
		return m.push(pickleTuple(items), err)
	case 0x91: // FROZENSET
		items, err := m.popMark()
		return m.push(&pickleList{items}, err)
	case 'a', 'e', 0x90, 's', 'u': // APPEND, APPENDS, ADDITEMS, SETITEM, SETITEMS
		return m.fill(op)
	case 'q', 'r', 0x94, 'h', 'j': // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
		return m.remember(op)
	case 'c', 0x93, 'R', 0x81, 'b': // GLOBAL, STACK_GLOBAL, REDUCE, NEWOBJ, BUILD
		return m.object(op)
	}
	return m.push(m.scalar(op))
}

func (m *pickleMachine) scalar(op byte) (any, error) {
	switch op {
	case 'N': // NONE
		return nil, nil
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return op == 0x88, nil
	case 'K', 'M': // BININT1, BININT2
		return m.uint(1 + int(op-'K')/2)
	case 'J': // BININT
		n, err := m.uint(4)
		return int64(int32(n)), err
	case 0x8a, 0x8b: // LONG1, LONG4
		return m.long(op)
	case 'G': // BINFLOAT
		b, err := m.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case 0x8c, 'X', 0x8d, 'U', 'T': // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8, SHORT_BINSTRING, BINSTRING
		b, err := m.counted(map[byte]int{0x8c: 1, 'X': 4, 0x8d: 8, 'U': 1, 'T': 4}[op])
		if err == nil && !utf8.Valid(b) {
			err = errors.New("text that is not valid UTF-8")
		}
		return string(b), err
	case 'C', 'B', 0x8e, 0x96: // SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
		b, err := m.counted(map[byte]int{'C': 1, 'B': 4, 0x8e: 8, 0x96: 8}[op])
		return b, err
	}
	return nil, fmt.Errorf("instruction %#x is not one of plain values", op)
}

func (m *pickleMachine) take(n int) ([]byte, error) {
	if n > len(m.in) {
		return nil, io.ErrUnexpectedEOF
	}
	b := m.in[:n:n]
	m.in = m.in[n:]
	return b, nil
}

// uint reads a little-endian number of n bytes.
func (m *pickleMachine) uint(n int) (uint64, error) {
	b, err := m.take(n)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// counted reads as many bytes as a number of n bytes says.
func (m *pickleMachine) counted(n int) ([]byte, error) {
	size, err := m.uint(n)
	if err != nil {
		return nil, err
	}
	if size > uint64(len(m.in)) {
		return nil, io.ErrUnexpectedEOF
	}
	return m.take(int(size))
}

// long reads an integer in two's complement, little-endian.
func (m *pickleMachine) long(op byte) (any, error) {
	b, err := m.counted(1 + 3*int(op-0x8a))
	if err != nil {
		return nil, err
	}
	if len(b)*8 > maxDigits*3 {
		return nil, fmt.Errorf("an integer of %d bytes", len(b))
	}
	digits := slices.Clone(b)
	slices.Reverse(digits)
	i := new(big.Int).SetBytes(digits)
	if len(digits) > 0 && digits[0] >= 0x80 {
		i.Sub(i, new(big.Int).Lsh(big.NewInt(1), uint(8*len(digits))))
	}
	return i, nil
}

func (m *pickleMachine) push(v any, err error) error {
	if err == nil {
		m.stack = append(m.stack, v)
	}
	return err
}

func (m *pickleMachine) pop() (any, error) {
	items, err := m.popN(1)
	if err != nil {
		return nil, err
	}
	return items[0], nil
}

var errPickleStack = errors.New("an instruction lacks its operands")

func (m *pickleMachine) popN(n int) ([]any, error) {
	at := len(m.stack) - n
	if at < 0 {
		return nil, errPickleStack
	}
	items := slices.Clone(m.stack[at:])
	if slices.Contains(items, any(pickleMark{})) {
		return nil, errPickleStack
	}
	m.stack = m.stack[:at]
	return items, nil
}

// popMark takes everything above the last mark, and the mark.
func (m *pickleMachine) popMark() ([]any, error) {
	for at := len(m.stack) - 1; at >= 0; at-- {
		if _, ok := m.stack[at].(pickleMark); ok {
			items := slices.Clone(m.stack[at+1:])
			m.stack = m.stack[:at]
			return items, nil
		}
	}
	return nil, errPickleStack
}

// fill adds items to the list, set or dictionary below them.
func (m *pickleMachine) fill(op byte) error {
	var items []any
	var err error
	switch op {
	case 'a':
		items, err = m.popN(1)
	case 's':
		items, err = m.popN(2)
	default:
		items, err = m.popMark()
	}
	if err != nil {
		return err
	}
	if len(m.stack) == 0 {
		return errPickleStack
	}
	switch into := m.stack[len(m.stack)-1].(type) {
	case *pickleList:
		if op == 'a' || op == 'e' || op == 0x90 {
			into.items = append(into.items, items...)
			return nil
		}
	case *pickleDict:
		if (op == 's' || op == 'u') && len(items)%2 == 0 {
			into.items = append(into.items, items...)
			return nil
		}
	}
	return errors.New("items without a container")
}

// remember writes the memo or reads it.
func (m *pickleMachine) remember(op byte) error {
	key := uint64(len(m.memo))
	if op != 0x94 {
		width := 1
		if op == 'r' || op == 'j' {
			width = 4
		}
		var err error
		if key, err = m.uint(width); err != nil {
			return err
		}
	}
	if op == 'h' || op == 'j' {
		v, ok := m.memo[uint32(key)]
		if !ok {
			return errors.New("a reference to nothing")
		}
		return m.push(v, nil)
	}
	v, err := m.pop()
	if err != nil {
		return err
	}
	m.memo[uint32(key)] = v
	return m.push(v, nil)
}

// pickleWriter writes a value as JSON; what is referred to twice is written twice.
type pickleWriter struct{ out jsonWriter }

func (w *pickleWriter) value(v any) error {
	switch v := v.(type) {
	case pickleTuple:
		return w.list(v)
	case *pickleList:
		return w.list(v.items)
	case *pickleDict:
		return w.dict(v.items)
	case *pickleUUID:
		if v.n != nil {
			return w.out.scalar(wrap("uuid", Object{{"hex", fmt.Sprintf("%032x", v.n)}}))
		}
	case nil, bool, string, []byte, int64, uint64, *big.Int, float64, Object:
		return w.out.scalar(v)
	}
	return errNotPlain(pickleName(v))
}

func (w *pickleWriter) list(items []any) error {
	if err := w.out.enter('['); err != nil {
		return err
	}
	for i, v := range items {
		if err := w.out.element(i); err != nil {
			return err
		}
		if err := w.value(v); err != nil {
			return err
		}
	}
	w.out.leave(']')
	return nil
}

func (w *pickleWriter) dict(items []any) error {
	if err := w.out.enter('{'); err != nil {
		return err
	}
	for i := 0; i < len(items); i += 2 {
		if err := w.out.element(i); err != nil {
			return err
		}
		if err := w.out.key(items[i]); err != nil {
			return err
		}
		if err := w.value(items[i+1]); err != nil {
			return err
		}
	}
	w.out.leave('}')
	return nil
}
