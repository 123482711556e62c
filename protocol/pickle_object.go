package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"
)

// pickleZone is a datetime.timezone: seconds east of UTC.
type pickleZone int

// pickleDelta is a datetime.timedelta, which only occurs inside a timezone.
type pickleDelta time.Duration

// pickleUUID is a UUID, which gets its number after it was memoized.
type pickleUUID struct{ n *big.Int }

// object carries out the instructions that would make Python call something.
func (m *pickleMachine) object(op byte) error {
	switch op {
	case 'c': // GLOBAL: two lines of text
		module, err := m.line()
		if err != nil {
			return err
		}
		name, err := m.line()
		return m.push(pickleGlobal(module+"."+name), err)
	case 0x93: // STACK_GLOBAL
		parts, err := m.popN(2)
		if err != nil {
			return err
		}
		module, _ := parts[0].(string)
		name, _ := parts[1].(string)
		return m.push(pickleGlobal(module+"."+name), nil)
	}
	operands, err := m.popN(2)
	if err != nil {
		return err
	}
	if op == 'b' { // BUILD: an object and its state
		return m.push(pickleState(operands[0], operands[1]))
	}
	class, _ := operands[0].(pickleGlobal)
	args, ok := operands[1].(pickleTuple)
	if !ok {
		return errPickleStack
	}
	if op == 0x81 && class == "uuid.UUID" && len(args) == 0 { // NEWOBJ
		return m.push(&pickleUUID{}, nil)
	}
	return m.push(pickleCall(class, args))
}

func (m *pickleMachine) line() (string, error) {
	n := bytes.IndexByte(m.in, '\n')
	b, err := m.take(n + 1)
	if n < 0 || err != nil {
		return "", errPickleStack
	}
	return string(b[:n]), nil
}

func errNotPlain(name string) error {
	return &Error{Kind: KindContent, Reason: fmt.Sprintf("%.80q is no plain value and is not loaded: let the sender use json", name)}
}

func pickleName(v any) string {
	switch v := v.(type) {
	case pickleGlobal:
		return string(v)
	case pickleZone:
		return "datetime.timezone"
	case *pickleUUID:
		return "uuid.UUID"
	case pickleDelta:
		return "datetime.timedelta"
	}
	return fmt.Sprintf("%T", v)
}

// pickleCall is the value that a call stands for in pickles of plain values:
// dates, decimals, byte arrays, sets of old protocols, and Celery's signatures,
// which are dictionaries.
func pickleCall(f pickleGlobal, args pickleTuple) (any, error) {
	switch f {
	case "datetime.datetime", "datetime.date", "datetime.time":
		if v, ok := pickleDate(f, args); ok {
			return v, nil
		}
	case "datetime.timedelta":
		if v, ok := pickleInts(args, 3); ok {
			return pickleDelta(time.Duration(v[0])*24*time.Hour + time.Duration(v[1])*time.Second + time.Duration(v[2])*time.Microsecond), nil
		}
	case "datetime.timezone":
		if len(args) > 0 {
			if d, ok := args[0].(pickleDelta); ok && time.Duration(d).Abs() < 24*time.Hour {
				return pickleZone(time.Duration(d) / time.Second), nil
			}
		}
	case "decimal.Decimal":
		if s, ok := pickleText(args, 1); ok {
			return wrap("decimal", s), nil
		}
	case "_codecs.encode": // how protocols 2 and 3 hold bytes
		if s, ok := pickleText(args, 2); ok && args[1] == "latin1" {
			return latin1(s)
		}
	case "builtins.set", "builtins.frozenset", "__builtin__.set", "__builtin__.frozenset":
		if len(args) == 1 {
			if list, ok := args[0].(*pickleList); ok {
				return list, nil
			}
		}
	case "builtins.bytearray", "__builtin__.bytearray", "__builtin__.bytes", "builtins.bytes":
		return pickleBytes(f, args)
	case "celery.canvas.signature", "celery.canvas.subtask":
		if len(args) == 1 {
			if dict, ok := args[0].(*pickleDict); ok {
				return dict, nil
			}
		}
	}
	return nil, errNotPlain(string(f))
}

// pickleState gives an object its state; only a UUID has one.
func pickleState(object, state any) (any, error) {
	id, ok := object.(*pickleUUID)
	dict, isDict := state.(*pickleDict)
	if !ok || !isDict {
		return nil, errNotPlain(pickleName(object))
	}
	for i := 0; i < len(dict.items); i += 2 {
		if dict.items[i] != "int" {
			continue
		}
		switch n := dict.items[i+1].(type) {
		case *big.Int:
			id.n = n
		case int64:
			id.n = big.NewInt(n)
		case uint64:
			id.n = new(big.Int).SetUint64(n)
		}
	}
	if id.n == nil || id.n.Sign() < 0 || id.n.BitLen() > 128 {
		return nil, errNotPlain(pickleName(object))
	}
	return id, nil
}

func pickleBytes(f pickleGlobal, args pickleTuple) (any, error) {
	if len(args) == 0 {
		return []byte{}, nil
	}
	if b, ok := args[0].([]byte); ok && len(args) == 1 {
		return b, nil
	}
	if s, ok := pickleText(args, 2); ok && args[1] == "latin-1" {
		return latin1(s)
	}
	return nil, errNotPlain(string(f))
}

// latin1 is the bytes that a text of the first 256 characters stands for.
func latin1(s string) (any, error) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return nil, errPickleStack
		}
		b = append(b, byte(r))
	}
	return b, nil
}

func pickleText(args pickleTuple, n int) (string, bool) {
	if len(args) != n {
		return "", false
	}
	s, ok := args[0].(string)
	return s, ok
}

func pickleInts(args pickleTuple, n int) ([]int64, bool) {
	if len(args) != n {
		return nil, false
	}
	out := make([]int64, n)
	for i, a := range args {
		switch a := a.(type) {
		case int64:
			out[i] = a
		case uint64:
			out[i] = int64(a)
		default:
			return nil, false
		}
	}
	return out, true
}

// pickleDate reads the packed bytes in which Python pickles dates and times.
func pickleDate(class pickleGlobal, args pickleTuple) (any, bool) {
	if len(args) == 0 || len(args) > 2 {
		return nil, false
	}
	packed, ok := args[0].([]byte)
	size := map[pickleGlobal]int{"datetime.datetime": 10, "datetime.date": 4, "datetime.time": 6}[class]
	if !ok || len(packed) != size {
		return nil, false
	}
	offset := ""
	if len(args) == 2 {
		zone, ok := args[1].(pickleZone)
		if !ok {
			return nil, false
		}
		offset = isoZone(int(zone))
	}
	date, clock := "2000-01-01", "00:00:00"
	if size != 6 {
		const fold = 0x80 // set on the month for the second of two equal local times
		date = fmt.Sprintf("%04d-%02d-%02d", binary.BigEndian.Uint16(packed), packed[2]&^fold, packed[3])
		packed = packed[4:]
	}
	if size != 4 {
		clock = fmt.Sprintf("%02d:%02d:%02d", packed[0]&0x7f, packed[1], packed[2])
		if micros := int(packed[3])<<16 | int(packed[4])<<8 | int(packed[5]); micros > 0 {
			clock += fmt.Sprintf(".%06d", micros)
		}
	}
	if _, err := ParseTime(date + "T" + clock); err != nil {
		return nil, false
	}
	switch size {
	case 4:
		return wrap("date", date), true
	case 6:
		return wrap("time", clock+offset), true
	}
	return wrap("datetime", date+"T"+clock+offset), true
}

// isoZone writes an offset as Python's isoformat does.
func isoZone(seconds int) string {
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	zone := fmt.Sprintf("%c%02d:%02d", sign, seconds/3600, seconds/60%60)
	if seconds%60 != 0 {
		zone += fmt.Sprintf(":%02d", seconds%60)
	}
	return zone
}
