package redis

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/umbel-go/umbel/protocol"
)

// A record is a value of the unacked hash: [envelope, exchange, routing key].
// Ours always say exchange "" and the queue's name, by which kombu restores to
// exactly the queue that the message was taken from.

type record struct {
	envelope   []byte
	exchange   string
	routingKey string
}

// recordTail is what follows the envelope in our own records.
func recordTail(queue string) string {
	return string(appendText([]byte(`, "", `), queue)) + "]"
}

// parseRecord reads the record of a tag. A record of ours may hold an element
// that only looked like an envelope, when its consumer died before it could amend
// it: that is told by the record's end and comes back wrapped.
func parseRecord(tag string, raw []byte) (record, error) {
	parts, err := protocol.SplitArray(raw)
	if err == nil && len(parts) == 3 {
		return record{envelope: parts[0], exchange: textOf(parts[1]), routingKey: textOf(parts[2])}, nil
	}
	end := parseTail(raw)
	tail := recordTail(end.routingKey)
	if end.routingKey != "" && bytes.HasPrefix(raw, []byte("[")) && bytes.HasSuffix(raw, []byte(tail)) {
		element := raw[1 : len(raw)-len(tail)]
		return record{envelope: wrapMalformed(element, end.routingKey, tag), routingKey: end.routingKey}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("record of an unacked message: %w", err)
	}
	return record{}, errors.New("record of an unacked message is not [envelope, exchange, routing key]")
}

// luaEnvelope defines envelope(record): the envelope's text in a record of
// ours, untouched by cjson, which would turn [] into {} and round numbers. It
// looks for the quote that opens the routing key: inside a JSON string a quote
// always follows a backslash.
const luaEnvelope = `
local function envelope(record)
  local i = #record - 2
  while i > 8 and (string.byte(record, i) ~= 34 or string.byte(record, i - 1) == 92) do i = i - 1 end
  return string.sub(record, 2, i - 7)
end
`
