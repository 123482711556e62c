package amqp

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/umbel-go/umbel/protocol"
)

// maxShort is the size limit of AMQP's short strings: names, routing keys and
// most properties.
const maxShort = 255

// encode turns a message into what the library publishes. It refuses what would
// otherwise make the library or the server close the connection, and so disturb
// other messages.
func encode(m *protocol.Message) (amqp091.Publishing, error) {
	p := &m.Properties
	out := amqp091.Publishing{
		ContentType:     m.ContentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    uint8(p.DeliveryMode),
		CorrelationId:   p.CorrelationID,
		ReplyTo:         p.ReplyTo,
		Expiration:      p.Expiration,
		Body:            m.Body,
	}
	if p.DeliveryMode == 0 {
		out.DeliveryMode = protocol.Persistent
	}
	if p.Priority != nil {
		if *p.Priority < 0 || *p.Priority > math.MaxUint8 {
			return out, fmt.Errorf("message priority %d: RabbitMQ takes 0 to 255", *p.Priority)
		}
		out.Priority = uint8(*p.Priority)
	}
	for what, s := range map[string]string{
		"content type": out.ContentType, "content encoding": out.ContentEncoding,
		"correlation id": out.CorrelationId, "reply_to": out.ReplyTo, "expiration": out.Expiration,
	} {
		if len(s) > maxShort {
			return out, fmt.Errorf("message %s of %d bytes: AMQP takes at most %d", what, len(s), maxShort)
		}
	}
	var err error
	if out.Headers, err = toTable(m.Headers); err != nil {
		return out, fmt.Errorf("message headers: %w", err)
	}
	return out, nil
}

// checkSize refuses headers that do not fit into one frame, which RabbitMQ
// answers by closing the connection.
func checkSize(p *amqp091.Publishing, frameMax int) error {
	// More than all properties but the headers can take together.
	const otherProperties = 16 + 10*(1+maxShort)
	if size := tableSize(p.Headers) + otherProperties; frameMax > 0 && size > frameMax {
		return fmt.Errorf("message headers of %d bytes: RabbitMQ takes at most %d here; send large values in the body", size, frameMax)
	}
	return nil
}

func tableSize(t amqp091.Table) int {
	size := 4
	for name, v := range t {
		size += 1 + len(name) + fieldSize(v)
	}
	return size
}

func fieldSize(v any) int {
	switch v := v.(type) {
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case amqp091.Table:
		return 1 + tableSize(v)
	case []any:
		size := 5
		for _, e := range v {
			size += fieldSize(e)
		}
		return size
	}
	return 9 // the largest of the others
}

func toTable(o protocol.Object) (amqp091.Table, error) {
	t := make(amqp091.Table, len(o))
	for _, f := range o {
		if len(f.Name) > maxShort {
			return nil, fmt.Errorf("name of %d bytes: AMQP takes at most %d", len(f.Name), maxShort)
		}
		v, err := toField(f.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		t[f.Name] = v
	}
	return t, nil
}

// toField picks types that every version of py-amqp reads as they were meant:
// long string S, boolean t, 32-bit integer I, double d, table F, array A, void V,
// and l for larger integers that are not negative. Never a 16-bit integer, which
// older py-amqp takes for a string, nor a negative l, which it reads unsigned.
func toField(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case json.Number:
		return toNumber(string(v)), nil
	case protocol.Object:
		return toTable(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = toField(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	raw, err := protocol.Marshal(v)
	if err != nil {
		return nil, err
	}
	plain, err := protocol.Decode(raw)
	if err != nil {
		return nil, err
	}
	return toField(plain)
}

// toNumber turns a JSON number into a field; one that no safe type holds becomes
// a string.
func toNumber(s string) any {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case i >= math.MinInt32 && i <= math.MaxInt32:
			return int32(i)
		case i >= 0:
			return i
		}
		return s
	}
	if strings.ContainsAny(s, ".eENI") {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	return s
}

// safeTable is a table that came from a peer, with the same meaning in types that
// every version of py-amqp reads.
func safeTable(t amqp091.Table) amqp091.Table {
	out := make(amqp091.Table, len(t))
	for name, v := range t {
		out[name] = safeField(v)
	}
	return out
}

func safeField(v any) any {
	switch v := v.(type) {
	case amqp091.Table:
		return safeTable(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = safeField(v[i])
		}
		return out
	case int64:
		if v < math.MinInt32 && v >= -1<<53 {
			return float64(v) // the same number, which a string is not
		}
		return toNumber(strconv.FormatInt(v, 10))
	case int8, uint8, int16, uint16, uint32, float32:
		return toNumber(string(fromField(v).(json.Number)))
	}
	return v
}

// decode turns a delivery into a message. RabbitMQ does not tell a missing
// priority from 0, so 0 is read as none.
func decode(d *amqp091.Delivery) *protocol.Message {
	m := &protocol.Message{
		Headers:         toObject(d.Headers),
		ContentType:     d.ContentType,
		ContentEncoding: d.ContentEncoding,
		Body:            d.Body,
		Properties: protocol.Properties{
			CorrelationID: d.CorrelationId,
			ReplyTo:       d.ReplyTo,
			DeliveryMode:  int(d.DeliveryMode),
			Expiration:    d.Expiration,
			Exchange:      d.Exchange,
			RoutingKey:    d.RoutingKey,
		},
	}
	if d.Priority > 0 {
		priority := int(d.Priority)
		m.Properties.Priority = &priority
	}
	return m
}

// toObject reads a table with its members sorted by name: the library does not
// keep their order.
func toObject(t amqp091.Table) protocol.Object {
	o := make(protocol.Object, 0, len(t))
	for name, v := range t {
		o = append(o, protocol.Field{Name: name, Value: fromField(v)})
	}
	sort.Slice(o, func(i, j int) bool { return o[i].Name < o[j].Name })
	return o
}

// fromField turns a field into a JSON value. A timestamp becomes an ISO string
// and a decimal a number.
func fromField(v any) any {
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case []byte:
		return string(v)
	case time.Time:
		return protocol.FormatTime(v)
	case amqp091.Table:
		return toObject(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fromField(v[i])
		}
		return out
	case amqp091.Decimal:
		return fromDecimal(v)
	}
	raw, err := protocol.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return json.Number(raw)
}

// fromDecimal writes the value with its point put in: AMQP decimals are a 32-bit
// value and the number of digits behind the point.
func fromDecimal(d amqp091.Decimal) json.Number {
	sign, digits := "", strconv.FormatInt(int64(d.Value), 10)
	if d.Value < 0 {
		sign, digits = "-", digits[1:]
	}
	scale := int(d.Scale)
	if scale == 0 {
		return json.Number(sign + digits)
	}
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - scale
	return json.Number(sign + digits[:point] + "." + digits[point:])
}
